package mappings

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// What a map must carry of the messages that it takes, as parts of the populated leaves that are its business: all but those
// that the engine carries itself. What is only kept for the way back isn't carried.
const (
	leastByRules  = 0.85
	mostByIgnored = 0.10
)

// TestRulesCarryWhatIsSent reads the messages of the cases beside each map.
func TestRulesCarryWhatIsSent(t *testing.T) {
	for _, m := range v2Maps(t) {
		var sum coverage
		for _, c := range parsedCases(t, m) {
			if c.parts["in.hl7"] == nil {
				continue
			}
			msg, err := hl7v2.Parse(c.message("in.hl7"), hl7v2.WithDefaultCharset(hl7v2.UTF8))
			if err != nil {
				t.Fatalf("%s: %v", c.file, err)
			}
			sum.add(m, c.file, msg)
		}
		if sum.messages < 5 {
			t.Errorf("%s: only %d of its cases hold messages that it takes: the figure says little", m.Name(), sum.messages)
			continue
		}
		sum.check(t, m)
	}
}

// sparse are maps of which the corpus has samples that no sender sends, with what their rules read of what it has.
//
// siu-s12: one message, a sample of HL7's guide v2-to-FHIR that fills PID, PV1 and PV2 to the last US field, each person with
// all components of XCN, and MSH with fields of a later version than it names.
//
// adt-a01: thirteen messages, of which one of the same guide fills every component of every field; of the others rules read
// 0.85.
var sparse = map[string]float64{"siu-s12": 0.57, "adt-a01": 0.76}

// TestRulesCarryTheCorpus reads every message of the corpus that a map takes.
func TestRulesCarryTheCorpus(t *testing.T) {
	c, sums := catalog(t), map[*Map]*coverage{}
	corpus(t, func(file string, msg *hl7v2.Message) {
		m := c.For(msg)
		if m == nil {
			return
		}
		if sums[m] == nil {
			sums[m] = &coverage{}
		}
		sums[m].add(m, file, msg)
	})
	if len(sums) == 0 {
		t.Fatal("no map takes a message of the corpus")
	}
	for m, sum := range sums {
		if floor := sparse[m.ID()]; floor > 0 {
			if part := float64(sum.Rules) / float64(sum.All-sum.Engine); part < floor || part >= leastByRules {
				t.Errorf("%s: rules read %.3f of the leaves; it is listed as sparse with %.2f", m.Name(), part, floor)
			}
			continue
		}
		sum.check(t, m)
	}
}

// coverage is what a map carries of several messages.
type coverage struct {
	Leaves
	messages int
	least    float64 // by rules, of the message of which they carry least
	file     string  // which that is
}

func (s *coverage) add(m *Map, file string, msg *hl7v2.Message) {
	res, err := m.Forward(msg, Context{})
	if err != nil {
		return // it parks
	}
	s.messages++
	s.Add(res.Leaves)
	if part := float64(res.Leaves.Rules) / float64(res.Leaves.All-res.Leaves.Engine); s.file == "" || part < s.least {
		s.least, s.file = part, file[strings.LastIndex(file, "/")+1:]
	}
}

func (s *coverage) check(t *testing.T, m *Map) {
	t.Helper()
	if s.All == 0 {
		if s.messages == 0 {
			t.Logf("%s takes no message", m.Name())
		}
		return
	}
	part := func(n int) float64 { return float64(n) / float64(s.All-s.Engine) }
	t.Logf("%s: of the %d leaves of %d messages (and %d of the engine's own) rules read %.3f, %.3f are ignored; least are read of %s, %.2f",
		m.Name(), s.All-s.Engine, s.messages, s.Engine, part(s.Rules), part(s.Ignored), s.file, s.least)
	if enough := part(s.Rules) >= leastByRules && part(s.Ignored) <= mostByIgnored; !enough {
		t.Errorf("%s: rules read %.3f of the leaves, at least %.2f are asked for; %.3f are ignored, at most %.2f may be",
			m.Name(), part(s.Rules), leastByRules, part(s.Ignored), mostByIgnored)
	}
}
