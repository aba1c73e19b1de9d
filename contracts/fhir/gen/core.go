package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// definition is what core.jsonl keeps of a StructureDefinition: its facts, without a sentence. resourceType and url
// come first, because by them it is found.
type definition struct {
	ResourceType   string           `json:"resourceType"`
	URL            string           `json:"url"`
	Kind           string           `json:"kind"`
	Abstract       bool             `json:"abstract"`
	Context        []map[string]any `json:"context,omitempty"`
	Type           string           `json:"type"`
	BaseDefinition string           `json:"baseDefinition"`
	Derivation     string           `json:"derivation"`
	Differential   struct {
		Element []map[string]any `json:"element"`
	} `json:"differential"`
}

// said are the members of an ElementDefinition that a validator reads.
func said(name string) bool {
	return slices.Contains([]string{"id", "path", "sliceName", "min", "max", "type", "slicing", "binding", "constraint",
		"isModifier", "mustSupport", "maxLength", "contentReference"}, name) ||
		strings.HasPrefix(name, "fixed") || strings.HasPrefix(name, "pattern") ||
		strings.HasPrefix(name, "minValue") || strings.HasPrefix(name, "maxValue")
}

// writeCore writes the extensions and profiles that R4 itself defines, a line each.
func writeCore(w io.Writer, files ...[]byte) error {
	for _, file := range files {
		var all bundle
		if err := json.Unmarshal(file, &all); err != nil {
			return err
		}
		for _, e := range all.Entry {
			var d definition
			if err := json.Unmarshal(e.Resource, &d); err != nil {
				return err
			}
			if d.ResourceType != "StructureDefinition" || d.Derivation != "constraint" {
				continue
			}
			for _, el := range d.Differential.Element {
				reduce(el)
			}
			b, err := json.Marshal(d)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\n", b)
		}
	}
	return nil
}

func reduce(el map[string]any) {
	for name := range el {
		if !said(name) {
			delete(el, name)
		}
	}
	keep(el["binding"], "strength", "valueSet")
	keep(el["slicing"], "discriminator", "rules", "ordered")
	for _, c := range list(el["constraint"]) {
		keep(c, "key", "severity", "expression")
	}
	for _, t := range list(el["type"]) {
		keep(t, "code", "profile", "targetProfile", "aggregation")
	}
}

func list(v any) []any { l, _ := v.([]any); return l }

func keep(v any, names ...string) {
	m, _ := v.(map[string]any)
	for name := range m {
		if !slices.Contains(names, name) {
			delete(m, name)
		}
	}
}
