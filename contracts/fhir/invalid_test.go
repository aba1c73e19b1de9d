package fhir

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/invalid"
)

// Each resource of testdata/invalid has one fault, and it is found at its place. Package invalid tells the form.
func TestInvalidList(t *testing.T) {
	lists, err := invalid.Read("testdata/invalid")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, list := range lists {
		if got := faultLines(list.Base, false); len(got) > 0 {
			t.Errorf("%s: the base has faults: %s", list.Name, got)
		}
		for _, e := range list.Edits {
			count++
			t.Run(list.Name+"/"+e.What, func(t *testing.T) {
				got := faultLines(list.Resource(e), len(strings.Fields(e.Want)) > 2)
				if len(got) != 1 || got[0] != e.Want {
					t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), e.Want)
				}
			})
		}
	}
	if count < 150 {
		t.Errorf("%d resources, want 150 at least", count)
	}
}

var placed = regexp.MustCompile(`\(line (\d+), column (\d+)\)$`)

// faultLines gives the faults of grade error that reading or else validating finds, in the form of the list.
func faultLines(resource string, detailed bool) (lines []string) {
	tree, err := Parse([]byte(resource))
	faults := contracts.FaultsOf(err)
	if err == nil {
		faults = Validate(tree)
	}
	for _, f := range faults {
		if f.Grade != contracts.GradeError {
			continue
		}
		line := f.Code + " " + f.At
		if at := placed.FindStringSubmatch(f.Public); at != nil {
			line += fmt.Sprintf(" %s:%s", at[1], at[2])
		}
		if f.Rule != "" && detailed {
			line += " " + f.Rule
		}
		lines = append(lines, line)
	}
	return lines
}
