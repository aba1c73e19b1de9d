package main

import (
	"encoding/json"
	"strconv"
)

// versions are those that the dictionary holds, in order.
var versions = []string{"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8"}

// source is what the two packages hold.
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
	Named map[string]struct {
		Segments map[string]composite `json:"segments"`
		Types    map[string]composite `json:"types"`
	} `json:"named"`
}

// listNode is a segment or a group; max 0 is unbounded.
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

// parts gives the parts in order. A number that is left out becomes an empty part.
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
	return list
}

// structures gives the message structures of a version.
func (s *source) structures(version string) map[string]*listNode {
	out := map[string]*listNode{}
	from := version
	if _, ok := s.List.Definitions[version]; !ok {
		from = previous(version)
	}
	for name, m := range s.List.Definitions[from].Messages {
		root := m.Segments
		root.Children = copyNodes(root.Segments)
		out[name] = &root
	}
	return out
}

func previous(version string) string {
	for i, v := range versions {
		if v == version && i > 0 {
			return versions[i-1]
		}
	}
	return ""
}

func next(version string) string {
	for i, v := range versions {
		if v == version && i+1 < len(versions) {
			return versions[i+1]
		}
	}
	return ""
}

func copyNodes(nodes []*listNode) []*listNode {
	out := make([]*listNode, len(nodes))
	for i, n := range nodes {
		c := *n
		c.Children = copyNodes(n.Children)
		out[i] = &c
	}
	return out
}
