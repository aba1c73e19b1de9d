package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/mappings"
)

// TestEveryMapFaultIsShown runs the page of faults: each code of maps has a section, whose example gives that code alone,
// with the text that stands there, and whose mend gives no fault.
func TestEveryMapFaultIsShown(t *testing.T) {
	g, p := readGround(t), readPage(t, "docs/mapping/faults.md")
	_, sections := p.sections()
	for _, code := range mappings.Codes {
		blocks := sections[code.Code]
		delete(sections, code.Code)
		t.Run(code.Code, func(t *testing.T) {
			switch {
			case len(blocks) == 0:
				t.Errorf("%s has no section %s", p.name, code.Code)
			case blocks[0].kind == "console":
				shownByCommands(t, p, blocks, code.Code)
			default:
				g.shows(t, p, blocks, code.Code)
			}
		})
	}
	for heading := range sections {
		t.Errorf("%s: %s is no code of a fault of maps", p.name, heading)
	}
}

// shownByCommands runs two blocks of commands in one folder: the first shows the fault, the second is without it.
func shownByCommands(t *testing.T, p *page, blocks []*block, code string) {
	if len(blocks) != 2 {
		t.Fatalf("%s: want the commands with the fault and those that mend it", code)
	}
	dir := t.TempDir()
	if got := p.console(t, blocks[0], dir); !strings.Contains(got, " "+code+": ") {
		t.Errorf("%s:%d: there is no %s", p.name, blocks[0].line, code)
	}
	if got := p.console(t, blocks[1], dir); strings.Contains(got, code) {
		t.Errorf("%s:%d: still %s", p.name, blocks[1].line, code)
	}
}

// shows runs an example up to its block `text`, which says what comes of it; what stands behind mends it.
func (g *ground) shows(t *testing.T, p *page, blocks []*block, code string) {
	parts, mend := map[string]*block{}, map[string]*block{}
	into := parts
	for _, b := range blocks {
		into[b.kind] = b
		if b.kind == "text" {
			into = mend
		}
	}
	said := parts["text"]
	if said == nil || len(mend) == 0 {
		t.Fatalf("%s: want an example, what it says, and its mend", code)
	}
	p.matches(t, said, g.faults(t, parts))
	for line := range strings.Lines(said.text) {
		if !strings.Contains(line, " "+code+": ") {
			t.Errorf("%s:%d: the example is to show %s alone: %s", p.name, said.line, code, line)
		}
	}
	maps.Copy(parts, mend)
	if left := g.faults(t, parts); said.text == "" || left != "" {
		t.Errorf("%s: the example says\n%s\nand its mend\n%s", code, said.text, left)
	}
}

// faults runs an example: a piece of a map, and a message or a case for it. It gives the faults and findings as the
// command line prints them.
func (g *ground) faults(t *testing.T, parts map[string]*block) string {
	text := ""
	if b := parts["yaml"]; b != nil {
		text = b.text
	}
	file := "map.yaml"
	m, faults := g.compile(file, text)
	if m != nil && len(faults) == 0 {
		file, faults = g.messageFaults(t, m, parts)
	}
	var printed strings.Builder
	for _, f := range faults {
		printed.WriteString(f.Text(file) + "\n")
	}
	return printed.String()
}

// messageFaults gives the file that the faults are in, and the faults.
func (g *ground) messageFaults(t *testing.T, m *mappings.Map, parts map[string]*block) (string, contracts.Faults) {
	var result *mappings.Result
	var err error
	file := "message.hl7"
	switch {
	case parts["txtar"] != nil:
		report := m.TestCase("cases/year.txtar", []byte(parts["txtar"].text))
		return "", report.Faults
	case parts["hl7"] != nil:
		msg, broken := hl7v2.Parse([]byte(strings.ReplaceAll(parts["hl7"].text, "\n", "\r")), hl7v2.WithDefaultCharset(hl7v2.UTF8))
		if broken != nil {
			t.Fatal(broken)
		}
		result, err = m.Forward(msg, mappings.Context{})
	case parts["json"] != nil:
		tree, broken := fhir.Parse([]byte(parts["json"].text))
		if broken != nil {
			t.Fatal(broken)
		}
		file = "bundle.json"
		result, err = m.Reverse(tree, mappings.Context{})
	default:
		return "", nil
	}
	if err != nil {
		return file, contracts.FaultsOf(err)
	}
	return file, result.Findings
}
