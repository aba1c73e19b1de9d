package generate

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// Structured makes messages of any structure from the dictionary of a version: segments, fields and components at random,
// as often as the standard lets them, each filled after its data type. They are legal and mean nothing: what real systems
// never send together stands beside each other in them.
type Structured struct {
	Structure string // REF_I12
	Type      string // MSH-9: REF^I12^REF_I12
	// Codes are the values of places that a reader takes few of, by path: RF1-1.1. Their fields don't repeat. A place without any
	// is filled at random, from its table where the standard fixes that.
	Codes map[string][]string

	dict   *hl7v2.Dict
	root   *hl7v2.Node
	random *rand.Rand
	made   int
}

// NewStructured gives a maker for a version. The error says that the version doesn't have the structure.
func NewStructured(seed uint64, version string, s Structured) (*Structured, error) {
	dict, err := hl7v2.Dictionary(version)
	if err != nil {
		return nil, err
	}
	structure := dict.Structure(s.Structure)
	if structure == nil {
		return nil, fmt.Errorf("generate: version %s has no structure %s", version, s.Structure)
	}
	s.dict, s.root, s.random = dict, structure.Root, rand.New(rand.NewPCG(seed, 0xd1c7))
	return &s, nil
}

// Next makes a message in UTF-8.
func (s *Structured) Next() []byte {
	s.made++
	var segments []string
	s.node(s.root, &segments)
	return []byte(strings.Join(segments, "\r") + "\r")
}

// perhaps is true so many times in a hundred.
func (s *Structured) perhaps(percent int) bool { return s.random.IntN(100) < percent }

// node writes what a node of the structure holds, as often as it comes.
func (s *Structured) node(n *hl7v2.Node, segments *[]string) {
	times := 1
	if n.Min == 0 && !s.perhaps(35) {
		times = 0
	} else if n.Repeats() && s.perhaps(35) {
		times = 2
	}
	for range times {
		switch n.Kind {
		case hl7v2.SegmentNode:
			if text := s.segment(n.Name); text != "" {
				*segments = append(*segments, text)
			}
		case hl7v2.ChoiceNode:
			s.node(n.Children[s.random.IntN(len(n.Children))], segments)
		case hl7v2.GroupNode:
			for _, child := range n.Children {
				s.node(child, segments)
			}
		}
	}
}

// segment writes one segment; of a name that the dictionary doesn't define nothing.
func (s *Structured) segment(id string) string {
	if id == "MSH" {
		return fmt.Sprintf(`MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260302091500||%s|S%07d|P|%s||||||UNICODE UTF-8`, s.Type, s.made, s.dict.Version())
	}
	def := s.dict.Segment(id)
	if def == nil {
		return ""
	}
	fields := []string{id}
	kind := pick(s.random, []string{"ST", "NM", "TX", "CE", "DT"}) // of OBX-5
	for i := range def.Fields {
		f := &def.Fields[i]
		place := fmt.Sprintf("%s-%d", id, i+1)
		text := ""
		switch {
		case f.Type == "", f.Usage != hl7v2.Required && s.Codes[place+".1"] == nil && !s.perhaps(30):
		case f.Type == "SI":
			text = "1"
		case place == "OBX-2":
			text = kind
		case f.Type == "varies":
			text = s.value(place, kind, "", 0)
		default:
			text = s.field(place, f)
		}
		fields = append(fields, text)
	}
	return strings.TrimRight(strings.Join(fields, "|"), "|")
}

// field writes a field with its repetitions; now and then it is the null.
func (s *Structured) field(place string, f *hl7v2.FieldDef) string {
	if f.Usage != hl7v2.Required && s.Codes[place+".1"] == nil && s.perhaps(3) {
		return `""`
	}
	reps := []string{s.value(place, f.Type, f.Table, 0)}
	for f.Repeats() && s.Codes[place+".1"] == nil && s.perhaps(30) && len(reps) < 3 {
		reps = append(reps, s.value(place, f.Type, f.Table, 0))
	}
	return strings.Join(reps, "~")
}

// value writes a value of a data type: at depth 0 a repetition, at 1 a component, at 2 a subcomponent.
func (s *Structured) value(place, typ, table string, depth int) string {
	def := s.dict.Type(typ)
	if def == nil || def.IsPrimitive() || depth == 2 || typ == "TS" { // a time's further component only repeats its precision
		if depth == 0 {
			place += ".1"
		}
		return s.leaf(place, typ, table)
	}
	parts := make([]string, len(def.Components))
	for i := range def.Components {
		c := &def.Components[i]
		if c.Type == "" || i > 0 && c.Usage != hl7v2.Required && !s.perhaps(30) {
			continue
		}
		own := place
		if depth == 0 {
			own = fmt.Sprintf("%s.%d", place, i+1)
		} else if i > 0 {
			own = "" // codes are named for a component's first part
		}
		parts[i] = s.value(own, c.Type, c.Table, depth+1)
	}
	separator := "^"
	if depth == 1 {
		separator = "&"
	}
	return strings.TrimRight(strings.Join(parts, separator), separator)
}

// leaf writes a primitive value.
func (s *Structured) leaf(place, typ, table string) string {
	if codes := s.Codes[place]; len(codes) > 0 {
		return pick(s.random, codes)
	}
	if values := s.dict.Table(table); table != "" && len(values) > 0 {
		return hl7v2.Standard.EncodeText(pick(s.random, values))
	}
	day := fmt.Sprintf("2026%02d%02d", 1+s.random.IntN(12), 1+s.random.IntN(28))
	switch typ {
	case "DT":
		return pick(s.random, []string{day, day[:6], day[:4]})
	case "DTM", "TS":
		return pick(s.random, []string{day, day + "0915", day + "091500", day + "091500.5+0200"})
	case "TM":
		return "0915"
	case "NM", "SI":
		return pick(s.random, []string{"0", "7", "12.50", "-3"})
	case "ID", "IS":
		return pick(s.random, []string{"A", "B7", "X-1"})
	case "TX", "FT":
		return pick(s.random, notes) + pick(s.random, []string{"", `\.br\Toinen rivi.`, ` S\T\K.`})
	}
	return pick(s.random, familyNames) + pick(s.random, []string{"", " 7", `\T\Poika`, " ä/ö"})
}
