package main

import "testing"

// TestTheCookbook runs every recipe: its piece of a map, laid over the map at the head of the page, passes the case below
// it, with the laws of the language. Without the piece the case fails, so it shows something.
func TestTheCookbook(t *testing.T) {
	g, p := readGround(t), readPage(t, "docs/mapping/cookbook.md")
	headings, sections := p.sections()
	plain, _ := g.compile("ground", "")
	for _, heading := range headings[1:] {
		t.Run(heading, func(t *testing.T) {
			blocks := sections[heading]
			if blocks[0].kind != "yaml" || len(blocks) < 2 {
				t.Fatalf("%s:%d: a recipe is a yaml block and its cases", p.name, blocks[0].line)
			}
			m, faults := g.compile(p.name, blocks[0].text)
			for _, f := range faults {
				t.Error(f.Text(""))
			}
			if m == nil {
				t.FailNow()
			}
			for _, b := range blocks[1:] {
				if b.kind != "txtar" {
					t.Fatalf("%s:%d: a case is a txtar block", p.name, b.line)
				}
				report := m.TestCase(p.name, []byte(b.text))
				for _, f := range report.Faults {
					f.Line += b.line - 1
					t.Error(f.Text(""))
				}
				if without := plain.TestCase(p.name, []byte(b.text)); without.Passed() {
					t.Errorf("%s:%d: the case passes without the recipe", p.name, b.line)
				}
			}
		})
	}
	if len(headings) < 21 {
		t.Errorf("only %d recipes were found", len(headings)-1)
	}
}
