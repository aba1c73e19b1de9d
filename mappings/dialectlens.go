package mappings

import (
	"strings"
	"unicode/utf8"
)

// fhirLens is a pair of functions over one pair of FHIR types; everything else is copied. Both give the text of a leaf, or
// the reason why the element isn't in the lens's domain. Reasons hold no values.
type fhirLens struct {
	name               string
	dialect, canonical []string
	forth              func(n *node) (text, why string) // dialect to canonical; nil: it only runs back
	back               func(n *node) (text, why string)
}

// fhirLibrary lists the lenses between FHIR and FHIR. Both only run back: they leave something out.
var fhirLibrary = []*fhirLens{
	{name: "display-name", dialect: []string{"string"}, canonical: []string{"HumanName"}, back: displayName},
	{name: "year-only", dialect: []string{"date", "dateTime"}, canonical: []string{"date", "dateTime"}, back: yearOnly},
}

func fhirLensNamed(name string) *fhirLens {
	for _, l := range fhirLibrary {
		if l.name == name {
			return l
		}
	}
	return nil
}

func fhirLensNames() []string {
	names := []string{"copy"}
	for _, l := range fhirLibrary {
		names = append(names, l.name)
	}
	return names
}

// displayName is a name as people say it: the given names and the family name, else the text.
func displayName(n *node) (text, why string) {
	var parts []string
	for k := n.get("given"); k != nil; k = k.follow() {
		parts = append(parts, k.value())
	}
	if family := n.read("family"); family != "" {
		parts = append(parts, family)
	}
	text = n.read("text")
	if len(parts) > 0 {
		text = strings.Join(parts, " ")
	}
	if text == "" {
		return "", "The name says nothing that could be shown."
	}
	return text, ""
}

// yearOnly leaves month and day out of a date.
func yearOnly(n *node) (text, why string) {
	text = n.value()
	if utf8.RuneCountInString(text) < 4 {
		return "", "This is no date."
	}
	return text[:4], ""
}
