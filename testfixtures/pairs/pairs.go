// Package pairs compares what the catalog makes of HL7 v2 messages with what other engines are published to make of the
// same ones: a message with the FHIR Bundle that it is expected to become is a pair. Resources are aligned by their type
// and what they say, and compared leaf by leaf; each difference is a place, never a value.
package pairs

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/mappings"
)

// Pair is a message and what another engine's authors expect of it.
type Pair struct {
	Source   string // the folder of the corpus
	Name     string // the message's file
	Message  []byte
	Expected []byte // a Bundle in JSON or XML
}

// The guide keeps its messages and Bundles in different folders; elsewhere a Bundle stands beside its message.
var guide = map[string]string{
	"hl7-v2-to-fhir-ig/test_conversions/ADT_A01.hl7": "hl7-v2-to-fhir-ig/samples/fhir-bundles/FHIR_bundle.hl7_ADT_A01.json",
	"hl7-v2-to-fhir-ig/test_conversions/MDM_T02.hl7": "hl7-v2-to-fhir-ig/samples/fhir-bundles/FHIR_bundle.hl7_MDM_T02.xml",
}

// Read finds the pairs of a corpus, in the order of their files.
func Read(corpus fs.FS) ([]Pair, error) {
	var all []Pair
	err := fs.WalkDir(corpus, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".hl7") {
			return err
		}
		for _, expected := range []string{guide[file], strings.TrimSuffix(file, "hl7") + "fhir", file + ".fhir.output.json"} {
			if bundle, err := fs.ReadFile(corpus, expected); err == nil {
				message, err := fs.ReadFile(corpus, file)
				source, _, _ := strings.Cut(file, "/")
				all = append(all, Pair{Source: source, Name: file, Message: message, Expected: bundle})
				return err
			}
		}
		return nil
	})
	return all, err
}

// Outcome is what became of a pair.
type Outcome struct {
	NoMap       string // the message's type, if the catalog has no map for it
	Faults      contracts.Faults
	Equal       int // leaves
	Differences []Difference
}

// placeholder stands in the guide's messages where a file in base64 belongs. No engine could read the message with it.
var placeholder, file = []byte("<Base64 encoded>"), []byte("U2lsdGE=")

// Judge translates a pair's message by the catalog and compares. Faults say why there is nothing to compare.
func Judge(catalog *mappings.Catalog, p Pair) (Outcome, error) {
	msg, err := hl7v2.Parse(bytes.ReplaceAll(p.Message, placeholder, file), hl7v2.WithDefaultCharset(hl7v2.UTF8))
	if err != nil {
		return Outcome{Faults: contracts.FaultsOf(err)}, nil
	}
	m := catalog.For(msg)
	if m == nil {
		return Outcome{NoMap: msg.MessageType()}, nil
	}
	result, err := m.Forward(msg, mappings.Context{})
	if err != nil {
		return Outcome{Faults: contracts.FaultsOf(err)}, nil
	}
	ours, err := readBundle(result.Bundle.Append(nil))
	if err != nil {
		return Outcome{}, err
	}
	theirs, err := readBundle(p.Expected)
	if err != nil {
		return Outcome{}, fmt.Errorf("what is expected of %s: %w", p.Name, err)
	}
	equal, differences := compare(ours, theirs)
	return Outcome{Equal: equal, Differences: differences}, nil
}
