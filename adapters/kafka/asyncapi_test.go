package kafka

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/schema"
)

type described struct {
	Required   []string       `yaml:"required"`
	Properties map[string]any `yaml:"properties"`
}

func readAsyncAPI(t *testing.T) map[string]described {
	t.Helper()
	var document struct {
		Components struct {
			Schemas map[string]described `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(schema.AsyncAPI, &document); err != nil {
		t.Fatal(err)
	}
	return document.Components.Schemas
}

// What is written is what asyncapi.yaml lists, and nothing else: headers that always stand there, those that may, and a
// claim.
func TestTheWireIsAsDescribed(t *testing.T) {
	headers := readAsyncAPI(t)["headers"]
	full := sample()
	for _, name := range []string{contracts.HeaderPartner, contracts.HeaderFormat, contracts.HeaderType, contracts.HeaderControl,
		contracts.HeaderApplication, contracts.HeaderFacility, contracts.HeaderDigest, contracts.HeaderKeyedBy, contracts.HeaderBehind, contracts.HeaderMerge, contracts.HeaderVersion,
		contracts.HeaderCause, contracts.HeaderRoute, contracts.HeaderCanonical, contracts.HeaderJourney, contracts.HeaderMap,
		contracts.HeaderFault, contracts.HeaderTrace} {
		full.Header[name] = "x"
	}
	bare := contracts.Record{Topic: "t", ID: "1"}
	c := claimOf(t, "k", "d", 1)
	written := names(t, full, c)
	written[attribute+datarefName] = true // a large body's, which takes a cluster
	if diff := cmp.Diff(slices.Sorted(maps.Keys(headers.Properties)), slices.Sorted(maps.Keys(written))); diff != "" {
		t.Errorf("asyncapi.yaml lists other headers than are written (-listed +written):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(headers.Required)), slices.Sorted(maps.Keys(names(t, bare, nil)))); diff != "" {
		t.Errorf("asyncapi.yaml requires other headers than always stand there (-required +written):\n%s", diff)
	}
	legal := regexp.MustCompile(`^ce_[a-z0-9]{1,20}$`) // CloudEvents 1.0.2, section 3.1
	for name := range written {
		if name != contentType && !legal.MatchString(name) {
			t.Errorf("%s isn't the name of an attribute", name)
		}
	}
	var fields map[string]any
	if err := json.Unmarshal(c.encode(), &fields); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(readAsyncAPI(t)["claim"].Properties)), slices.Sorted(maps.Keys(fields))); diff != "" {
		t.Errorf("asyncapi.yaml lists other fields of a claim (-listed +written):\n%s", diff)
	}
}

func names(t *testing.T, r contracts.Record, c *claim) map[string]bool {
	t.Helper()
	w, err := new(Bus).write(t.Context(), r, c)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, h := range w.Headers {
		if names[h.Key] {
			t.Errorf("%s is written twice", h.Key)
		}
		names[h.Key] = true
	}
	return names
}

// The password is in nothing that is printed.
func TestAPasswordIsNotPrinted(t *testing.T) {
	c := Config{SASL: SASL{Mechanism: "PLAIN", User: "silta", Password: "hush"}}
	text, err := json.Marshal(c.SASL)
	if err != nil || strings.Contains(string(text), "hush") {
		t.Errorf("it is in the JSON (%v)", err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if printed := fmt.Sprintf(format, c.SASL); printed != "PLAIN" {
			t.Errorf("%s prints %q", format, printed)
		}
	}
}
