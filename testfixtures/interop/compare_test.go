//go:build interop

package interop

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// disagreement is a leaf that a judge reads in another way than we do, or a message that only one of us reads.
type disagreement struct {
	judge        string
	message      message
	path         string // verdict, if it is about the message as a whole
	value        hl7v2.Value
	ours, theirs string // the texts; empty where there is none. Of a verdict: why it was refused; empty if it was read
	elsewhere    string // the path at which the judge has our text
}

// compare gives the number of leaves that both read alike, segments among them, and what they don't.
func compare(judge string, m message, ours, theirs reading) (agreed int, all []disagreement) {
	if (ours.refused == "") != (theirs.refused == "") {
		return 0, []disagreement{{judge: judge, message: m, path: verdict, ours: ours.refused, theirs: theirs.refused}}
	}
	left := map[string]string{} // what the judge hasn't been heard about
	for _, l := range ours.leaves {
		left[l.path] = l.text
	}
	var alone []leaf
	for _, l := range theirs.leaves {
		text, both := left[l.path]
		delete(left, l.path)
		switch {
		case !both:
			alone = append(alone, l)
		case text == l.text:
			agreed++
		default:
			all = append(all, disagreement{judge: judge, message: m, path: l.path, value: ours.values[l.path], ours: text, theirs: l.text})
		}
	}
	for _, l := range ours.leaves {
		if _, ok := left[l.path]; ok {
			d := disagreement{judge: judge, message: m, path: l.path, value: ours.values[l.path], ours: l.text}
			d.elsewhere, alone = takeMoved(l, alone)
			all = append(all, d)
		}
	}
	for _, l := range alone {
		all = append(all, disagreement{judge: judge, message: m, path: l.path, theirs: l.text})
	}
	return agreed, all
}

// takeMoved finds our leaf at another place of its field, or at a place of its segment that has lost a number, and
// gives that place and the leaves that are left.
func takeMoved(ours leaf, alone []leaf) (string, []leaf) {
	for i, l := range alone {
		lost := strings.Contains(l.path, "?") && segment(l.path) == segment(ours.path)
		if l.text == ours.text && (lost || field(l.path) == field(ours.path)) {
			return l.path, slices.Delete(alone, i, i+1)
		}
	}
	return "", alone
}

// segment is PID(1) of PID(1)-5(2).1.1, and field PID(1)-5.
func segment(path string) string {
	before, _, _ := strings.Cut(path, "-")
	return before
}

func field(path string) string {
	if i := strings.LastIndexByte(path, '('); i > 4 {
		return path[:i]
	}
	return path
}

// Both judges read what we read: each leaf of each message, or a row of differences.tsv says who is right, and why.
func TestTheJudgesReadWhatWeRead(t *testing.T) {
	rows := readDifferences(t, v2Differences)
	for _, row := range rows {
		if habits[row.judge][row.class] == nil {
			t.Errorf("differences.tsv:%d: nothing recognises %q of %s", row.line, row.class, row.judge)
		}
	}
	theirs := corpus(t)
	messages := slices.Concat(theirs, encodedAfresh(t, theirs), ownMessages(t))
	used := compareAll(t, hapi, messages, askHAPI(t, messages), decoded, rows)
	messages = append(messages, withFourCharacters(t, messages)...)
	maps.Copy(used, compareAll(t, hl7apy, messages, askHL7apy(t, messages), undecoded, rows))
	for _, row := range rows {
		t.Logf("%-6s %5d × %s (%s)", row.judge, used[row.line], row.class, row.where())
		if used[row.line] == 0 && (len(theirs) > 0 || !row.corpusOnly) {
			t.Errorf("differences.tsv:%d explains nothing any more", row.line)
		}
	}
}

// HAPI's own rules, which it applies unless told otherwise, find no fault with anything that we make.
func TestHAPIAcceptsWhatWeWrite(t *testing.T) {
	messages := ownMessages(t)
	for i, r := range askHAPI(t, messages, "strict") {
		if r.refused != "" {
			t.Errorf("%s is refused: %s", messages[i].name, r.refused)
		}
	}
	t.Logf("%d messages pass HAPI's validation", len(messages))
}

// compareAll compares a judge's readings with ours. It gives how often each row explains what differs, by its line.
func compareAll(t *testing.T, judge string, messages []message, readings []reading, text func(hl7v2.Value) string, rows []difference) map[int]int {
	t.Helper()
	used := map[int]int{}
	agreed, alike, refused, unexplained := 0, 0, 0, 0
	for i, m := range messages {
		same, all := compare(judge, m, ourReading(m, text), readings[i])
		agreed += same
		if len(all) == 0 {
			alike++
		}
		if readings[i].refused != "" {
			refused++
		}
		for _, d := range all {
			because := explain(d, rows)
			for _, row := range because {
				used[row.line]++
			}
			if len(because) > 0 {
				continue
			}
			if unexplained++; unexplained <= 40 {
				// A place is enough to look it up, and no value of the corpus stands in a log.
				t.Errorf("%s: %s: %s: no row of differences.tsv explains this (we: %s, they: %s)",
					judge, m.name, cmp.Or(d.elsewhere, d.path), describe(d.path, d.ours), describe(d.path, d.theirs))
			}
		}
	}
	if agreed == 0 {
		t.Errorf("%s reads nothing as we do: nothing was compared", judge)
	}
	t.Logf("%s: %d messages, %d of them refused by it; %d leaves read alike; %d messages without any difference; %d differences unexplained",
		judge, len(messages), refused, agreed, alike, unexplained)
	return used
}

func describe(path, text string) string {
	switch {
	case path == verdict && text != "":
		return "refused, " + text
	case path == verdict:
		return "read"
	case text == "":
		return "nothing"
	}
	return "a text"
}

// withFourCharacters gives the messages before version 2.7 whose MSH-2 has a fifth character, without it: hl7apy
// refuses them all as they stand, and should be heard about the rest of them.
func withFourCharacters(t *testing.T, messages []message) []message {
	t.Helper()
	var all []message
	for _, m := range messages {
		if m.parsed != nil && m.parsed.Delimiters().Truncation != 0 && !hl7v2.VersionAtLeast(m.parsed.Version(), "2.7") {
			b := text(m.parsed)
			all = append(all, newMessage(m.name+", four characters in MSH-2", append(b[:8:8], b[9:]...)))
		}
	}
	return all
}
