package pairs

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// resource is a resource of a Bundle, or the Bundle without its entries, as its leaves.
type resource struct {
	typ    string
	leaves []leaf
	twin   *resource // the one of the other Bundle that says the same
}

// leaf is a value that isn't empty. Its place has no indexes, since the order of lists is no difference.
type leaf struct {
	place, text string
	to          *resource // what a reference leads to
}

// readBundle reads a Bundle in JSON or XML.
func readBundle(b []byte) ([]*resource, error) {
	root, err := decode(b)
	if err != nil {
		return nil, err
	}
	bundle := &resource{typ: "Bundle"}
	all := []*resource{bundle}
	addresses := map[string]*resource{}
	for _, e := range list(root["entry"]) {
		entry, _ := e.(map[string]any)
		for _, r := range list(entry["resource"]) {
			members, _ := r.(map[string]any)
			typ, _ := members["resourceType"].(string)
			one := &resource{typ: typ}
			one.walk(typ, members)
			all = append(all, one)
			addresses[typ+"/"+text(members["id"])], addresses[text(entry["fullUrl"])] = one, one
		}
	}
	if len(all) == 1 {
		return nil, errors.New("the Bundle has no resource")
	}
	delete(root, "entry")
	bundle.walk("Bundle", root)
	for _, r := range all {
		for i := range r.leaves {
			if l := &r.leaves[i]; strings.HasSuffix(l.place, ".reference") {
				l.to = addresses[l.text]
			}
		}
	}
	return all, nil
}

// walk collects the leaves of v.
func (r *resource) walk(place string, v any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for name, member := range v {
			if name != "resourceType" {
				r.walk(place+"."+name, member)
			}
		}
	case []any:
		for _, item := range v {
			r.walk(place, item)
		}
	default:
		if t := text(v); t != "" {
			r.leaves = append(r.leaves, leaf{place: place, text: t})
		}
	}
}

func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// text is a primitive's text; of a list, its first item's.
func text(v any) string {
	if l := list(v); len(l) > 0 && l[0] != nil {
		return fmt.Sprint(l[0])
	}
	return ""
}

func decode(b []byte) (map[string]any, error) {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("<")) {
		return decodeXML(b)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a number's digits are its text
	var root map[string]any
	return root, d.Decode(&root)
}

// decodeXML reads FHIR's XML form as if it were JSON in which every member is a list.
func decodeXML(b []byte) (map[string]any, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil, errors.New("the XML has no element")
		}
		if err != nil {
			return nil, err
		}
		if start, ok := token.(xml.StartElement); ok {
			v, err := element(d, start)
			root, _ := v.(map[string]any)
			return root, err
		}
	}
}

// element reads what is between start and its end: a text, if it has only the attribute value.
func element(d *xml.Decoder, start xml.StartElement) (any, error) {
	members := map[string]any{}
	value := ""
	for _, a := range start.Attr {
		switch a.Name.Local {
		case "value":
			value = a.Value
		case "url":
			members["url"] = a.Value
		}
	}
	for {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.EndElement:
			if len(members) == 0 {
				return value, nil
			}
			return members, nil
		case xml.StartElement:
			name := token.Name.Local
			if name == "div" { // the narrative, which is for people
				if err := d.Skip(); err != nil {
					return nil, err
				}
				continue
			}
			child, err := element(d, token)
			if err != nil {
				return nil, err
			}
			if inside, ok := child.(map[string]any); ok && slices.Contains([]string{"resource", "contained"}, start.Name.Local) {
				inside["resourceType"] = name
				members = inside
				continue
			}
			members[name] = append(list(members[name]), child)
		}
	}
}
