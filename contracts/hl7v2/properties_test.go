package hl7v2_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// hostile makes messages that are well-formed and as awkward as they can be: their own delimiters, character set and
// segment ends, nulls, escapes whole and torn, empties everywhere, segments that nobody knows. Equal seeds make equal
// messages.
type hostile struct {
	*rand.Rand
	delims  string // MSH-1, then MSH-2
	charset string // as MSH-18 names it
	letters []string
	end     string
}

const hostileSeeds = 400

// eachHostile calls law with generators of many seeds.
func eachHostile(t *testing.T, law func(t *testing.T, g *hostile)) {
	for seed := range uint64(hostileSeeds) {
		g := newHostile(seed)
		if law(t, g); t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

func newHostile(seed uint64) *hostile {
	g := &hostile{Rand: rand.New(rand.NewPCG(seed, 2))}
	g.delims = g.pick(`|^~\&`, `|^~\&`, `|^~\&#`, `*:?!%`, `^|~\&`, `$%@/:+`, g.randomDelimiters())
	sets := []struct{ name, letters string }{
		{"", "a"}, {"UNICODE UTF-8", "ä,€,漢,😀"}, {"utf8", "Ö"}, {"8859/1", "\xe4,\xc5"}, {" ISO-8859-15", "\xa4,\xa8,\xe4"}, {"8859/1~UNICODE UTF-8", "\xf6"},
	}
	set := sets[g.IntN(len(sets))]
	g.charset, g.letters = set.name, strings.Split(set.letters, ",")
	g.end = g.pick("\r", "\r", "\n", "\r\n")
	if strings.ContainsAny(g.delims, "/-") {
		g.charset = strings.NewReplacer("/", "", "-", "").Replace(g.charset) // the name can't hold a delimiter
	}
	g.charset = strings.ReplaceAll(g.charset, "~", g.delims[2:3])
	return g
}

func (g *hostile) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g *hostile) randomDelimiters() string {
	all := []byte("!#$%&'()*+,-/:;<=>?@[\\]^_`{|}~") // no point, which versions hold
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return string(all[:5+g.IntN(2)])
}

// message makes a message with this control id, its last segment ended.
func (g *hostile) message(id string) []byte {
	sep := g.delims[:1]
	fields := []string{"MSH", g.delims[1:], g.leaf(), g.leaf(), g.leaf(), g.leaf(), "2026", "", "ADT" + g.delims[1:2] + "A01", id,
		"P", "2.7", "", "", "", "", "", g.charset}
	for range g.IntN(3) {
		fields = append(fields, "")
	}
	out := strings.ReplaceAll(strings.Join(fields, sep), "\n", "") + g.end
	for range g.IntN(8) {
		out += g.pick("PID", "OBX", "OBX", "NTE", "ZPI", "QQ9", "AL1")
		for range g.IntN(7) {
			out += sep + g.field()
		}
		out += g.end
	}
	return []byte(out)
}

func (g *hostile) field() string {
	parts := func(sep string, n int, part func() string) string {
		list := make([]string, g.IntN(n)+1)
		for i := range list {
			list[i] = part()
		}
		return strings.Join(list, sep)
	}
	return parts(g.delims[2:3], 3, func() string {
		return parts(g.delims[1:2], 3, func() string { return parts(g.delims[4:5], 2, g.leaf) })
	})
}

func (g *hostile) leaf() string {
	esc := g.delims[3:4]
	text := ""
	for range g.IntN(5) {
		text += g.pick("a", "Z", "5", " ", `"`, `""`, "#", esc, esc, esc+"F"+esc, esc+"E"+esc, esc+"T"+esc, esc+"X41"+esc, esc+"X0D"+esc, esc+"XE4"+esc,
			esc+".br"+esc, esc+"H"+esc, esc+"Q"+esc, "|", g.letters[g.IntN(len(g.letters))])
	}
	if g.end == "\r" && g.IntN(8) == 0 {
		text += "\n"
	}
	return strings.ReplaceAll(text, g.delims[:1], "a")
}

// text makes a text that the message's character set has.
func (g *hostile) text(m *hl7v2.Message) string {
	text := ""
	for range g.IntN(6) {
		text += g.pick(append(strings.Split(g.delims, ""), "a", "\r", "\n", `"`, `""`, ".br", "X41", "F", "\v", "\x1c", "\x00", " ")...)
	}
	if m.Charset() == hl7v2.UTF8 {
		text += g.pick("", "ä", "€", "😀")
	}
	return text
}

func (g *hostile) parse(t *testing.T) *hl7v2.Message {
	t.Helper()
	b := g.message(fmt.Sprint("M", g.Uint32()))
	m, err := hl7v2.Parse(b)
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return m
}

// leafPath is a leaf and where its segment stands.
type leafPath struct {
	segment int
	path    hl7v2.Path
}

// leaves gives the raw bytes of every leaf behind MSH-2.
func leaves(m *hl7v2.Message) map[leafPath]string {
	all, counts := map[leafPath]string{}, map[string]int{}
	for i, s := range m.Segments() {
		counts[s.ID()]++
		first := 1
		if i == 0 {
			first = 3
		}
		for n := first; n <= s.NumFields(); n++ {
			for r, rep := range s.Field(n).All() {
				for c, comp := range rep.All() {
					for u, sub := range comp.All() {
						p := hl7v2.Path{Segment: s.ID(), Index: counts[s.ID()], Field: n, Rep: r, Component: c, Sub: u}
						all[leafPath{i, p}] = string(sub.Raw())
					}
				}
			}
		}
	}
	return all
}

// anyLeaf chooses a leaf behind MSH, which stands or could stand there; ok is false if there is no segment.
func (g *hostile) anyLeaf(m *hl7v2.Message) (l leafPath, ok bool) {
	if m.NumSegments() < 2 {
		return l, false
	}
	i := 1 + g.IntN(m.NumSegments()-1)
	number := 0
	for n := range i + 1 {
		if m.Segment(n).ID() == m.Segment(i).ID() {
			number++
		}
	}
	return leafPath{i, hl7v2.Path{Segment: m.Segment(i).ID(), Index: number, Field: 1 + g.IntN(8), Rep: 1 + g.IntN(3),
		Component: 1 + g.IntN(3), Sub: 1 + g.IntN(2)}}, true
}

func TestHostileMessagesComeBack(t *testing.T) {
	eachHostile(t, func(t *testing.T, g *hostile) {
		b := g.message("M1")
		m, err := hl7v2.Parse(b)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if !bytes.Equal(m.Bytes(), b) {
			t.Errorf("%q came back as %q", b, m.Bytes())
		}
		h, err := hl7v2.Scan(b)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		checkScanAgrees(t, m, h)
		checkParts(t, m)
		checkJSONRoundTrip(t, fmt.Sprintf("%q", b), m)
		for _, f := range hl7v2.Validate(m, nil) {
			if f.At == "" || f.Code == "" {
				t.Errorf("a finding without place or code: %v", f)
			}
		}
	})
}

func TestSettingALeafChangesThatLeaf(t *testing.T) {
	eachHostile(t, func(t *testing.T, g *hostile) {
		m := g.parse(t)
		l, ok := g.anyLeaf(m)
		if !ok {
			return
		}
		text := g.text(m)
		checkSet(t, m, l, func() error { return m.SetText(l.path, g.text(m)) })
		checkSet(t, m, l, func() error { return m.SetText(l.path, text) })
		if got := m.Get(l.path); got.Text() != text || got.IsNull() {
			t.Errorf("set %q last, read %q", text, got.Text())
		}
		// What the codec wrote is canonical: reading and writing it again changes no byte.
		before := slices.Clone(m.Bytes())
		checkSet(t, m, l, func() error { return m.SetText(l.path, m.Get(l.path).Text()) })
		if !bytes.Equal(m.Bytes(), before) {
			t.Errorf("%q became %q", before, m.Bytes())
		}
		checkSet(t, m, l, func() error { return m.SetNull(l.path) })
		if !m.Get(l.path).IsNull() {
			t.Error("the null isn't read as one")
		}
		checkSet(t, m, l, func() error { return m.Set(l.path, "") })
		if state := m.Get(l.path).State(); state != hl7v2.Empty && state != hl7v2.Absent {
			t.Errorf("after emptying the state is %d", state)
		}
		checkJSONRoundTrip(t, "after setting", m)
	})
}

// checkSet shows that set changes no leaf but l. What lies beside a part that wasn't there yet stays the first of its own.
func checkSet(t *testing.T, m *hl7v2.Message, l leafPath, set func() error) {
	t.Helper()
	before := leaves(m)
	if err := set(); err != nil {
		t.Fatal(err)
	}
	after := leaves(m)
	for at, raw := range before {
		if at != l && after[at] != raw {
			t.Errorf("setting %s made %q of %q at %s", l.path, after[at], raw, at.path)
		}
	}
	for at, raw := range after {
		if _, was := before[at]; !was && at != l && raw != "" {
			t.Errorf("setting %s made %q at %s", l.path, raw, at.path)
		}
	}
}

func TestAcknowledgementsNameTheMessage(t *testing.T) {
	eachHostile(t, func(t *testing.T, g *hostile) {
		id := strings.ReplaceAll(g.leaf(), "\n", "") + "1" + strings.ReplaceAll(g.leaf(), "\n", "")
		b := g.message(id)
		h, err := hl7v2.Scan(b)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		for _, code := range []string{"AA", "AE", "AR", "CA", "CE", "CR"} {
			ack := hl7v2.Acknowledge(h, hl7v2.Answer{Code: code, ControlID: "7", Time: noon, Text: "€ and | so"})
			a, err := hl7v2.ReadAcknowledgement(ack)
			if err != nil || a.Code != code || string(field(ack, 1, 2)) != id {
				t.Fatalf("%q answers %q: %v", ack, b, err)
			}
			// The acknowledgement has no truncation character, so that \P\ may read otherwise in it.
			if len(g.delims) == 5 && a.ControlID != h.ControlID() {
				t.Errorf("%q is read as %q", h.ControlID(), a.ControlID)
			}
			if _, err := hl7v2.Parse(ack); err != nil {
				t.Errorf("%q: %v", ack, err)
			}
		}
	})
}

func TestMessagesPutTogetherAreFoundAgain(t *testing.T) {
	eachHostile(t, func(t *testing.T, g *hostile) {
		var file []byte
		var want [][]byte
		for i := range 1 + g.IntN(5) {
			b := newHostile(g.Uint64()).message(fmt.Sprint("M", i))
			want = append(want, b)
			file = append(file, b...)
		}
		parts, faults := hl7v2.Split(file)
		if len(parts) != len(want) || len(faults) > 0 {
			t.Fatalf("%d messages are %d parts: %q, %v", len(want), len(parts), file, faults)
		}
		at := 0
		for i, p := range parts {
			if !bytes.Equal(p.Bytes, want[i]) || p.Offset != at {
				t.Errorf("part %d at %d is %q, want %q at %d", i, p.Offset, p.Bytes, want[i], at)
			}
			at += len(want[i])
		}
	})
}

func TestPathsAreWrittenAsTheyAreRead(t *testing.T) {
	eachHostile(t, func(t *testing.T, g *hostile) {
		value := g.pick("RT", "1.2.246", "a=b", "(1)", "ä", "x[", " ")
		p := hl7v2.Path{Segment: g.pick("PID", "ZP1"), Field: 1 + g.IntN(99999)}
		switch g.IntN(3) {
		case 0:
			p.Index = 1 + g.IntN(9999)
		case 1:
			p.SegmentBy = hl7v2.Selector{Field: 1 + g.IntN(99), Component: g.IntN(3), Value: value, Set: true}
		}
		switch g.IntN(3) {
		case 0:
			p.Rep = 1 + g.IntN(99)
		case 1:
			p.RepBy = hl7v2.Selector{Component: 1 + g.IntN(3), Sub: g.IntN(3), Value: value, Set: true}
		}
		if p.Component = g.IntN(3); p.Component > 0 {
			p.Sub = g.IntN(3)
		}
		if got, err := hl7v2.CompilePath(p.String()); err != nil || got != p {
			t.Errorf("%s is read as %+v, %v", p, got, err)
		}
	})
}

func TestDateTimesAreWrittenAsTheyAreRead(t *testing.T) {
	eachHostile(t, func(t *testing.T, g *hostile) {
		text := fmt.Sprintf("%04d%02d%02d%02d%02d%02d", 1+g.IntN(9999), 1+g.IntN(12), 1+g.IntN(28), g.IntN(24), g.IntN(60), g.IntN(60))
		text = text[:[]int{4, 6, 8, 10, 12, 14}[g.IntN(6)]]
		if len(text) == 14 && g.IntN(2) == 0 {
			text += "." + fmt.Sprintf("%04d", g.IntN(10000))[:1+g.IntN(4)]
		}
		if g.IntN(2) == 0 {
			text += fmt.Sprintf("%c%02d%02d", "+-"[g.IntN(2)], g.IntN(15), g.IntN(60))
		}
		if d, err := hl7v2.ParseDateTime(text); err != nil || d.String() != text {
			t.Errorf("%s is written as %s, %v", text, d, err)
		}
	})
}

// A message whose JSON has lost its raw texts is written afresh, and says the same.
func TestJSONWithoutRawSaysTheSame(t *testing.T) {
	eachHostile(t, func(t *testing.T, g *hostile) {
		m := g.parse(t)
		var object map[string]any
		if err := json.Unmarshal(m.AppendJSON(nil), &object); err != nil {
			t.Fatal(err)
		}
		for _, s := range object["segments"].([]any) {
			delete(s.(map[string]any), "raw")
		}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		er7, err := hl7v2.EncodeJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := hl7v2.Parse(er7, hl7v2.WithCharset(m.Charset()))
		if err != nil {
			t.Fatalf("%q: %v", er7, err)
		}
		for at := range leaves(m) {
			was, is := m.Get(at.path), again.Get(at.path)
			if was.Text() != is.Text() || was.IsNull() != is.IsNull() {
				t.Errorf("%q at %s became %q", was.Raw(), at.path, is.Raw())
			}
		}
	})
}
