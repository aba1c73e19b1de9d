package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/mappings"
)

// page is a page of the docs, whose fenced blocks are run as they stand there.
type page struct {
	name   string // as docs/mapping/cookbook.md
	lines  []string
	blocks []*block

	standing *strings.Replacer // of the page's addresses by those where a hub really listens; nil without one
}

// block is what stands between two fences.
type block struct {
	section string // the heading above it
	kind    string // the word behind the fence, such as yaml
	text    string // its lines
	line    int    // of its first line in the page, from 1
}

func readPage(t *testing.T, name string) *page {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{name: name, lines: strings.SplitAfter(string(data), "\n")}
	section := ""
	var open *block
	for i, line := range p.lines {
		kind, fence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case fence && open != nil:
			p.blocks, open = append(p.blocks, open), nil
		case fence:
			open = &block{section: section, kind: kind, line: i + 2}
		case open != nil:
			open.text += line
		case strings.HasPrefix(line, "#"):
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block doesn't end", name, open.line)
	}
	return p
}

// sections gives the blocks by heading, and the headings in their order. A heading without blocks isn't among them.
func (p *page) sections() (headings []string, blocks map[string][]*block) {
	blocks = map[string][]*block{}
	for _, b := range p.blocks {
		if blocks[b.section] == nil {
			headings = append(headings, b.section)
		}
		blocks[b.section] = append(blocks[b.section], b)
	}
	return headings, blocks
}

// matches compares a block with what was really printed. SILTA_GOLDEN=1 writes that into the page instead.
func (p *page) matches(t *testing.T, b *block, got string) {
	t.Helper()
	if b.text == got {
		return
	}
	if os.Getenv("SILTA_GOLDEN") == "" {
		t.Errorf("%s:%d: the page says\n%s\nand it is\n%s", p.name, b.line, b.text, got)
		return
	}
	for i := range strings.Count(b.text, "\n") {
		p.lines[b.line-1+i] = ""
	}
	p.lines[b.line-2] += got // behind the fence
	b.text = got
	if err := os.WriteFile(filepath.Join("..", "..", p.name), []byte(strings.Join(p.lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ground is the map on which the pieces of maps in docs/mapping lie. The cookbook shows it.
type ground struct {
	catalog *mappings.Catalog
	id      string // ID@VERSION
}

func readGround(t *testing.T) *ground {
	t.Helper()
	p := readPage(t, "docs/mapping/cookbook.md")
	if len(p.blocks) == 0 || !strings.HasPrefix(p.blocks[0].text, "silta: map/v1\nid: ground\nversion: 0.1.0\n") {
		t.Fatal("the cookbook doesn't begin with the map ground@0.1.0")
	}
	catalog, err := mappings.Load(mappings.Embedded, fstest.MapFS{"catalog/ground/0.1.0/map.yaml": {Data: []byte(p.blocks[0].text)}})
	if err != nil {
		for _, f := range contracts.FaultsOf(err) {
			t.Error(f.Text(""))
		}
		t.FailNow()
	}
	for _, f := range catalog.Check() {
		if strings.HasPrefix(f.File, "catalog/ground/") {
			t.Error(f.Text(""))
		}
	}
	return &ground{catalog, "ground@0.1.0"}
}

// compile lays a piece of a map over the ground. A text that is a whole map is taken as it is. Faults have the lines of the text.
func (g *ground) compile(name, text string) (*mappings.Map, contracts.Faults) {
	head := "silta: map/v1\nid: own\nversion: 0.1.0\nextends: " + g.id + "\n"
	if strings.HasPrefix(text, "silta:") {
		head = ""
	}
	m, faults := g.catalog.CompileFile(name, []byte(head+text))
	for _, f := range faults {
		if f.File == name && f.Line > 0 {
			f.Line -= strings.Count(head, "\n")
		}
	}
	return m, faults
}

// fleeting is what every run prints otherwise: digests, ids, and times.
var fleeting = regexp.MustCompile(`sha256:[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?`)

// lasting puts something of its kind and length in the place of what is fleeting.
func lasting(s string) string {
	switch {
	case strings.HasPrefix(s, "sha256:"):
		return "sha256:…"
	case strings.Contains(s, ":"):
		return ("2026-03-02" + s[10:11] + "09:30:00.000000000")[:len(s)]
	}
	return "01234567-89ab-4cde-8f01-23456789abcd"
}

// console runs the commands of a block in a folder, and compares all that they print. It gives that.
func (p *page) console(t *testing.T, b *block, dir string) string {
	t.Helper()
	got := p.run(t, b, dir)
	p.matches(t, b, got)
	return got
}

// run runs the commands of a block in a folder, one after another, and gives the block as it would have to be.
func (p *page) run(t *testing.T, b *block, dir string) string {
	t.Helper()
	var got strings.Builder
	var printed []byte
	for line := range strings.Lines(b.text) {
		command, found := strings.CutPrefix(line, "$ ")
		if !found {
			continue
		}
		if len(printed) > 0 {
			got.WriteString("\n") // a line between what was printed and the next command
		}
		got.WriteString(line)
		if p.standing != nil {
			command = p.standing.Replace(command)
		}
		c := exec.Command("sh", "-c", command)
		c.Dir = dir
		var err error
		printed, err = c.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		got.WriteString(fleeting.ReplaceAllStringFunc(string(printed), lasting))
	}
	if got.Len() == 0 {
		t.Fatalf("%s:%d: the block has no command", p.name, b.line)
	}
	return got.String()
}
