//go:build interop

package interop

import (
	"math/big"
	"strings"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// habit recognises one way in which a judge differs from us, named as the rows of differences.tsv name it. A habit that
// changes texts is a way of reading, and several may meet in one leaf; any other looks at the whole disagreement.
type habit struct {
	text  func(*way)
	other func(disagreement) bool
}

// way is how a judge comes from a leaf's bytes to its text.
type way struct {
	utf8    bool // whatever MSH-18 says, if MSH-2 has five characters
	keepHex bool // \X0D\ stays as it stands
	wideCR  bool // \X000d\ is a line end
	dropP   bool // \P\ is P
	stray   bool // an escape character that starts no escape is left out
	trim    func(text, blanks string) string
}

// habits are keyed by judge and class.
var habits = map[string]map[string]*habit{
	hapi: {
		"hex escapes are kept":             {text: func(w *way) { w.keepHex = true }},
		"X000d is a line end":              {text: func(w *way) { w.wideCR = true }},
		"a stray escape character is lost": {text: func(w *way) { w.stray = true }},
		"P escape is read as a letter":     {text: func(w *way) { w.dropP = true }},
		"leading blanks are dropped":       {text: func(w *way) { w.trim = strings.TrimLeft }},
		"trailing blanks are dropped":      {text: func(w *way) { w.trim = strings.TrimRight }},
		"a fifth character hides MSH-18":   {text: func(w *way) { w.utf8 = true }},
		"subcomponents become components":  {other: swapped},
		"a wrong byte is replaced":         {other: wrongByte},
		"a letter is taken as a delimiter": {other: func(d disagreement) bool { return d.path == verdict && d.ours == "HL7-002 at MSH-2" }},
		"a version without classes":        {other: func(d disagreement) bool { return refusedOnly(d, "ca.uhn.hl7v2.HL7Exception") && !hasVersion(d) }},
		"an OBX-2 that the version lacks":  {other: func(d disagreement) bool { return refusedOnly(d, "ca.uhn.hl7v2.HL7Exception") && hasVersion(d) }},
	},
	hl7apy: {
		"a fifth character is refused": {other: func(d disagreement) bool {
			return refusedOnly(d, "InvalidEncodingChars") && d.message.parsed.Delimiters().Truncation != 0
		}},
		"a version without definitions":                         {other: func(d disagreement) bool { return refusedOnly(d, "UnsupportedVersion") }},
		"a wrong byte is replaced":                              {other: wrongByte},
		"a segment without a definition is refused":             {other: func(d disagreement) bool { return refusedOnly(d, "InvalidName") && !everySegmentDefined(d) }},
		"a place that only our dictionary has loses its number": {other: func(d disagreement) bool { return strings.Contains(d.elsewhere, "?") && defined(d) }},
		"an undefined place loses its number":                   {other: func(d disagreement) bool { return strings.Contains(d.elsewhere, "?") && !defined(d) }},
		"blanks at the ends are dropped": {other: func(d disagreement) bool {
			return d.path != verdict && d.elsewhere == "" && (d.theirs == strings.TrimRight(d.ours, " ") || d.theirs == strings.TrimSpace(d.ours))
		}},
		"numbers are written anew": {other: sameNumber},
	},
}

func wrongByte(d disagreement) bool {
	return d.path == verdict && strings.HasPrefix(d.ours, hl7v2.CodeBadByte+" ")
}

func refusedOnly(d disagreement, class string) bool {
	return d.path == verdict && d.ours == "" && d.theirs == class
}

func hasVersion(d disagreement) bool {
	_, err := hl7v2.Dictionary(d.message.parsed.Version())
	return err == nil
}

// swapped says whether subcomponent n of a field's first component came out as component n.
func swapped(d disagreement) bool {
	ours, ok := strings.CutPrefix(d.path, field(d.path))
	_, sub, found := strings.Cut(ours, ").1.")
	return ok && found && sub != "1" && strings.HasSuffix(d.elsewhere, ")."+sub+".1")
}

func sameNumber(d disagreement) bool {
	ours, ok := new(big.Rat).SetString(d.ours)
	theirs, good := new(big.Rat).SetString(d.theirs)
	return ok && good && ours.Cmp(theirs) == 0
}

// explain gives the rows that together explain a disagreement; none if nothing does.
func explain(d disagreement, rows []difference) []difference {
	var texts []difference
	for _, row := range rows {
		h := habits[d.judge][row.class]
		if row.judge != d.judge || h == nil || !row.covers(d.message.name, d.path) {
			continue
		}
		if h.other != nil && h.other(d) {
			return []difference{row}
		}
		if h.text != nil {
			texts = append(texts, row)
		}
	}
	if d.path == verdict || d.elsewhere != "" || d.ours == "" {
		return nil
	}
	// The smallest set of ways that gives the judge's text.
	for size := 1; size <= len(texts); size++ {
		for _, set := range subsets(texts, size) {
			var w way
			for _, row := range set {
				habits[d.judge][row.class].text(&w)
			}
			if w.read(d) == d.theirs {
				return set
			}
		}
	}
	return nil
}

func subsets[T any](all []T, size int) [][]T {
	if size == 0 {
		return [][]T{nil}
	}
	var sets [][]T
	for i, first := range all {
		for _, rest := range subsets(all[i+1:], size-1) {
			sets = append(sets, append([]T{first}, rest...))
		}
	}
	return sets
}

// read gives the text of a leaf for somebody with these habits.
func (w *way) read(d disagreement) string {
	er7 := d.value.ER7()
	if w.utf8 && d.message.parsed.Delimiters().Truncation != 0 {
		er7 = strings.ToValidUTF8(string(d.value.Raw()), "\uFFFD")
	}
	text := unescape(er7, d.message.parsed.Delimiters(), w)
	if w.trim != nil {
		text = w.trim(text, " ")
	}
	return text
}

// unescape decodes escapes by itself, so that what is explained by a judge's habit isn't explained by our own code.
func unescape(er7 string, d hl7v2.Delimiters, w *way) string {
	esc := string(d.Escape)
	meanings := map[string]string{"F": string(d.Field), "S": string(d.Component), "T": string(d.Subcomponent), "R": string(d.Repetition), "E": esc}
	if d.Truncation != 0 {
		meanings["P"] = string(d.Truncation)
	}
	if w.dropP {
		meanings["P"] = "P"
	}
	if w.wideCR {
		meanings["X000d"] = "\r"
	}
	var out strings.Builder
	for er7 != "" {
		before, after, found := strings.Cut(er7, esc)
		out.WriteString(before)
		body, rest, closed := strings.Cut(after, esc)
		switch meaning, known := meanings[body]; {
		case !found:
			er7 = ""
		case closed && known:
			out.WriteString(meaning)
			er7 = rest
		case closed && strings.HasPrefix(body, "X") && w.keepHex:
			out.WriteString(esc + body + esc)
			er7 = rest
		default:
			if !w.stray {
				out.WriteString(esc)
			}
			er7 = after
		}
	}
	return out.String()
}

// defined says whether our dictionary of the message's version has the place at which we read a text.
func defined(d disagreement) bool {
	dict, err := hl7v2.Dictionary(d.message.parsed.Version())
	path, bad := hl7v2.CompilePath(d.path)
	if err != nil || bad != nil {
		return false
	}
	segment := dict.Segment(path.Segment)
	if segment == nil {
		return false
	}
	def := segment.Field(path.Field)
	for _, n := range []int{path.Component, path.Sub} {
		if def == nil {
			return false
		}
		if kind := dict.Type(def.Type); kind != nil && len(kind.Components) > 0 {
			def = kind.Component(n)
		} else if n > 1 {
			return false
		}
	}
	return def != nil
}

// everySegmentDefined says whether our dictionary has every segment of the message that isn't a Z segment.
func everySegmentDefined(d disagreement) bool {
	dict, err := hl7v2.Dictionary(hl7v2.NearestVersion(d.message.parsed.Version()))
	if err != nil {
		return false
	}
	for _, s := range d.message.parsed.Segments() {
		if dict.Segment(s.ID()) == nil && s.ID()[0] != 'Z' {
			return false
		}
	}
	return true
}
