package partners_test

import (
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/partners"
	"github.com/hoitosilta/silta/contracts/profiles"
)

func TestTheShippedContractsAreSound(t *testing.T) {
	agreed, err := contracts.LoadPartners(partners.Files, ".")
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]*contracts.Partner{}
	for _, p := range agreed {
		byID[p.ID] = p
		if p.Title.EN == "" || p.Title.FI == "" || p.Title.SV == "" {
			t.Errorf("%s: a title is missing in one of the languages", p.File)
		}
	}
	// Whatever HUS may send back must find a map on its way to who referred.
	for _, event := range profiles.Events() {
		if hus := byID["hus"]; contracts.Takes(hus.Accepts.Types, event) && byID["apotti"].MapOut(event) == "" {
			t.Errorf("HUS may send %s, and no map takes it to Apotti", event)
		}
	}
	if to := byID["apotti"].Receivers(profiles.Request); len(to) != 1 || to[0] != "hus" {
		t.Errorf("a request goes to %v, want [hus]", to)
	}
}
