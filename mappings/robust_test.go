package mappings

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// v2Maps are the catalog's maps for HL7 v2.
func v2Maps(t testing.TB) []*Map {
	return slices.DeleteFunc(slices.Clone(catalog(t).Maps()), (*Map).FHIR)
}

// inputs are the v2 messages of a map's cases.
func inputs(t testing.TB, m *Map) [][]byte {
	t.Helper()
	var list [][]byte
	for _, c := range parsedCases(t, m) {
		if c.parts["in.hl7"] != nil {
			list = append(list, c.message("in.hl7"))
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s has no case with a v2 message", m.Name())
	}
	return list
}

// damaged is how many damaged messages of each map the translations must stand; the laws are tried on a fifth of them. One
// goroutine translates them, so under the race detector, where each costs ten times as much, a few will do.
var damaged = flag.Int("damaged", 500, "damaged messages of each map")

// TestBrokenMessages damages the cases' messages in many ways. Whatever comes of it, no translation panics, and what
// isn't parked is valid FHIR whose way back can be read.
func TestBrokenMessages(t *testing.T) {
	for _, m := range v2Maps(t) {
		t.Run(m.ID(), func(t *testing.T) {
			random, translated := rand.New(rand.NewPCG(1, 2)), 0
			list := inputs(t, m)
			for range *damaged {
				b := damage(random, list[random.IntN(len(list))])
				msg, err := hl7v2.Parse(b)
				if err != nil {
					continue
				}
				res, err := m.Forward(msg, Context{})
				if err != nil {
					for _, f := range contracts.FaultsOf(err) {
						if f.Kind == contracts.Internal || f.At == "" {
							t.Errorf("fault without a kind or place: %v\n%s", f, lines(b))
						}
					}
					continue
				}
				translated++
				for _, f := range fhir.Validate(res.Bundle) {
					if f.Grade == contracts.GradeError {
						t.Fatalf("%v\n%s", f, lines(b))
					}
				}
				back, err := m.Reverse(res.Bundle, Context{Version: msg.Version(), Origin: &Origin{Bundle: res.Bundle}})
				if err != nil {
					t.Fatalf("the way back parks: %v\n%s", err, lines(b))
				}
				if regrouped(back.Findings) {
					continue // a loss that was told
				}
				again, err := m.Forward(back.Message, Context{})
				if err != nil {
					t.Fatalf("there and back parks: %v\n%s\n%s", err, lines(b), lines(back.Message.Bytes()))
				}
				if at := otherBundle(res.Bundle, again.Bundle, nil); at != "" {
					t.Fatalf("there and back differs at %s\n%s\n%s", at, lines(b), lines(back.Message.Bytes()))
				}
			}
			if translated < 100 {
				t.Errorf("only %d damaged messages were translated: the test says little", translated)
			}
		})
	}
}

func lines(b []byte) string { return strings.ReplaceAll(string(b), "\r", "\n") }

// damage changes a message as bad senders do: segments missing, doubled or moved, fields emptied, moved, repeated, cut
// or taken from elsewhere.
func damage(random *rand.Rand, b []byte) []byte {
	segments := bytes.Split(bytes.TrimRight(b, "\r"), []byte("\r"))
	for range 1 + random.IntN(4) {
		i := 1 + random.IntN(len(segments)-1)
		j := 1 + random.IntN(len(segments)-1)
		switch random.IntN(8) {
		case 0:
			if len(segments) > 2 {
				segments = append(append([][]byte{}, segments[:i]...), segments[i+1:]...)
			}
		case 1:
			segments = append(segments, segments[i])
		case 2:
			segments = append([][]byte{}, segments...)
			segments[i], segments[j] = segments[j], segments[i]
		default:
			segments = append([][]byte{}, segments...)
			segments[i] = damageFields(random, segments[i], segments[j])
		}
	}
	return bytes.Join(segments, []byte("\r"))
}

func damageFields(random *rand.Rand, segment, other []byte) []byte {
	fields, others := bytes.Split(segment, []byte("|")), bytes.Split(other, []byte("|"))
	if len(fields) < 2 {
		return segment
	}
	fields = append([][]byte{}, fields...)
	i := 1 + random.IntN(len(fields)-1)
	switch random.IntN(7) {
	case 0:
		fields[i] = nil
	case 1:
		fields[i] = []byte(`""`)
	case 2:
		fields[i] = append(append(append([]byte{}, fields[i]...), '~'), fields[i]...)
	case 3:
		fields[i] = append([]byte("^"), fields[i]...)
	case 4:
		fields[i] = append(append([]byte{}, fields[i]...), "&x^^y&&z"...)
	case 5:
		fields[i] = others[random.IntN(len(others))]
	case 6:
		fields[i] = append([]byte{}, fields[i][:len(fields[i])/2]...)
	}
	return bytes.Join(fields, []byte("|"))
}

// A message of more repetitions than anybody means parks at their place, either way, and costs no hours.
func TestTooManyRepetitionsPark(t *testing.T) {
	m, err := catalog(t).Map("adt-a40")
	if err != nil {
		t.Fatal(err)
	}
	message := func(n int) *hl7v2.Message {
		msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|HUS|B|HUS|20260306120000+0200||ADT^A40^ADT_A39|R1|P|2.5.1||||||UNICODE UTF-8\rEVN||20260302\rPID|1||10^^^C^MR||Laine^Liisa||1962|F\rMRG|" +
			strings.TrimSuffix(strings.Repeat("12^^^C^MR~", n), "~")))
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	parks := func(err error, at string) bool {
		list := contracts.FaultsOf(err)
		return len(list) == 1 && list[0].Code == CodeTooMany && list[0].At == at
	}
	if _, err := m.Forward(message(70000), Context{}); !parks(err, "MRG-1") {
		t.Errorf("forward: %v", err)
	}
	res, err := m.Forward(message(mostNumbered), Context{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Reverse(res.Bundle, Context{}); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
	for e := range res.Bundle.Root().Get("entry").Each() {
		if list := e.Get("resource").Get("identifier"); list.Len() == mostNumbered {
			list.Push(fhir.Object()).Add("value", fhir.String("13"))
		}
	}
	if _, err := m.Reverse(res.Bundle, Context{}); !parks(err, "MRG-1") {
		t.Errorf("back: %v", err)
	}
}
