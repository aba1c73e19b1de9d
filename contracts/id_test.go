package contracts_test

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

func secret(t testing.TB, fill byte) contracts.Secret {
	t.Helper()
	s, err := contracts.NewSecret([]byte(strings.Repeat(string(fill), 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Ids are what makes doing a thing twice harmless, so their values are fixed for good: a changed derivation would
// give every message of a running installation a new id.
func TestDerivedIDsNeverChange(t *testing.T) {
	in := contracts.IncomingID("apotti", "APOTTI", "HELSINKI", "MSG-1", "d1")
	out := contracts.OutgoingID(in, "hus", "message", 0)
	for _, row := range []struct {
		what string
		got  string
		want string
	}{
		{"incoming", string(in), "99b4f1e4-6602-5f83-be85-b29149518c1c"},
		{"outgoing", string(out), "cefd3cdf-5daf-5f83-a474-32a4f229c08d"},
		{"journey", string(contracts.JourneyID(in)), "216386a3-fc3d-5b92-be38-77c6a3414092"},
		{"control", out.Control(), "Z36TZX25V5PYHJDUGKSP"},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %s, want %s", row.what, row.got, row.want)
		}
	}
}

func TestIDsDifferWhenAnyPartDoes(t *testing.T) {
	seen := map[contracts.ID]string{}
	for what, id := range map[string]contracts.ID{
		"as it is":             contracts.IncomingID("p", "a", "f", "c", "d"),
		"other partner":        contracts.IncomingID("q", "a", "f", "c", "d"),
		"other bytes":          contracts.IncomingID("p", "a", "f", "c", "e"),
		"other control":        contracts.IncomingID("p", "a", "f", "x", "d"),
		"parts run together":   contracts.IncomingID("p", "af", "", "c", "d"),
		"parts run the other":  contracts.IncomingID("pa", "", "f", "c", "d"),
		"outgoing":             contracts.OutgoingID("p", "a", "f", 0),
		"a later generation":   contracts.OutgoingID("p", "a", "f", 1),
		"an operator's copy":   contracts.EditedID("p", "d"),
		"a step":               contracts.StepID("p", "a", "f", 0),
		"the same step, again": contracts.StepID("p", "a", "f", 1),
	} {
		if other, taken := seen[id]; taken {
			t.Errorf("%s has the id of %s", what, other)
		}
		seen[id] = what
	}
}

func TestKeysSayNothingWithoutTheSecret(t *testing.T) {
	a, b := secret(t, 'a'), secret(t, 'b')
	if a.Key("apotti", "referral", "R-1") != a.Key("apotti", "referral", "R-1") || a.Key("apotti", "R-1") == a.Key("apotti", "R-2") {
		t.Error("a key isn't its parts'")
	}
	if a.Key("x") == b.Key("x") || a.Digest([]byte("x")) == b.Digest([]byte("x")) || a.Fingerprint() == b.Fingerprint() {
		t.Error("another secret gives the same hash")
	}
	if _, err := contracts.NewSecret([]byte("short")); contracts.KindOf(err) != contracts.Invalid {
		t.Errorf("a short secret: got %v, want an invalid fault", err)
	}
}

func TestStoredBodies(t *testing.T) {
	long := strings.Repeat("MSH|^~\\&|APOTTI|", 200)
	for _, text := range []string{"", "short", long} {
		body := contracts.NewBody([]byte(text))
		for form, stored := range map[string][]byte{"plain": contracts.Pack(body), "small": contracts.PackSmall(body)} {
			back, err := contracts.Unpack(stored)
			if err != nil || string(back.Bytes()) != text {
				t.Errorf("%s form of %d bytes: got %v, %v", form, len(text), back, err)
			}
		}
	}
	if n := len(contracts.PackSmall(contracts.NewBody([]byte(long)))); n > len(long)/4 {
		t.Errorf("a repetitive body is stored in %d of %d bytes", n, len(long))
	}
	for what, stored := range map[string][]byte{
		"too short": {1, 0}, "unknown form": {9, 0, 0, 0, 0, 'x'}, "encrypted": {1, 0, 0, 0, 7, 'x'}, "damaged": {2, 0, 0, 0, 0, 'x'},
	} {
		if _, err := contracts.Unpack(stored); contracts.KindOf(err) != contracts.Internal {
			t.Errorf("%s: got %v, want an internal fault", what, err)
		}
	}
}
