package main

import (
	"encoding/json"
	"strconv"
)

// versions are those that the dictionary holds, in order.
var versions = []string{"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8"}

// schemaVersions are those of them that the Python package has.
var schemaVersions = []string{"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"}

// source is what the packages hold.
type source struct {
	List struct {
		Definitions map[string]struct {
			Messages map[string]struct {
				Segments listNode `json:"segments"`
			} `json:"messages"`
		} `json:"definitions"`
		Tables map[string]struct {
			Values map[string]string `json:"values"`
		} `json:"tables"`
	} `json:"list"`
	Named   map[string]catalog `json:"named"`
	Schemas map[string]*schema `json:"-"`
}

// catalog holds the segments and data types of a version.
type catalog struct {
	Segments map[string]composite `json:"segments"`
	Types    map[string]composite `json:"types"`
}

// npm gives the npm package's segments and types of a version. Its 2.8 is a copy of 2.7.1: only primitive types count.
func (s *source) npm(version string) catalog {
	c := s.Named[version]
	if version != "2.8" {
		return c
	}
	types := map[string]composite{}
	for name, t := range c.Types {
		if len(t.Fields) == 0 {
			types[name] = t
		}
	}
	return catalog{Types: types}
}

// schema is what the Python package holds of a version.
type schema struct {
	catalog
	Structures map[string][]*listNode `json:"structures"`
}

// schema gives the Python package's definitions of a version. It has no 2.7.1, which changed a few fields of 2.7 and no
// structure; corrections.go has those fields.
func (s *source) schema(version string) *schema {
	if version == "2.7.1" {
		version = "2.7"
	}
	return s.Schemas[version]
}

// listNode is a segment or a group; max 0 is unbounded. Commas in a name make it a choice of segments.
type listNode struct {
	Name     string      `json:"name"`
	Min      int         `json:"min"`
	Max      int         `json:"max"`
	Segments []*listNode `json:"segments"` // of the message itself
	Children []*listNode `json:"children"` // of a group
}

// composite is a segment or a data type; its parts are numbered from 1.
type composite struct {
	Fields map[string]part `json:"fields"`
}

// part is a field or component; without a type it is one that the standard leaves out or withdrew.
type part struct {
	Type   string `json:"type"`
	Usage  string `json:"opt"`
	Repeat repeat `json:"rep"`
	Length int    `json:"len"`
	Table  int    `json:"table"`
}

// repeat is a number, or 0 for "infinite".
type repeat int

func (r *repeat) UnmarshalJSON(b []byte) error {
	if string(b) == `"infinite"` {
		*r = 0
		return nil
	}
	return json.Unmarshal(b, (*int)(r))
}

// parts gives the parts in order. A number that is left out becomes an empty part; the last one isn't empty.
func (c composite) parts() []part {
	var list []part
	for number, p := range c.Fields {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			continue
		}
		for len(list) < n {
			list = append(list, part{})
		}
		list[n-1] = p
	}
	return trimParts(list)
}

func trimParts(list []part) []part {
	for len(list) > 0 && list[len(list)-1].Type == "" {
		list = list[:len(list)-1]
	}
	return list
}

// lists gives the message structures of a version in the npm package.
func (s *source) lists(version string) map[string][]*listNode {
	out := map[string][]*listNode{}
	for name, m := range s.List.Definitions[version].Messages {
		out[name] = m.Segments.Segments
	}
	return out
}
