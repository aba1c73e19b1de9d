// Package invalid reads lists of resources with one fault each: contracts/fhir/testdata/invalid. A list is a txtar file
// with base.json, a resource without faults, and faults, edits of it:
//
//	# What is wrong, in words.
//	CODE PLACE [LINE:COL | RULE]
//	-text of the base
//	+text that stands there instead
//
// The text is found in the base once. In both, \n is a line break, <e4> a byte, and <3×[> the text [ three times.
// People in the lists are invented.
package invalid

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// List is one file.
type List struct {
	Name  string // of the file
	Base  string // the resource without faults
	Edits []Edit
}

// Edit makes one fault.
type Edit struct {
	What     string // is wrong, in words
	Want     string // the fault: code, place, and what the list tells besides
	old, new string
}

// Read reads the lists of a folder; it is an error if there are none.
func Read(folder string) ([]List, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no list was found in %s: %v", folder, err)
	}
	var all []List
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		l, err := parse(filepath.Base(file), txtar.Parse(data))
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func parse(name string, archive *txtar.Archive) (List, error) {
	if len(archive.Files) != 2 || archive.Files[0].Name != "base.json" || archive.Files[1].Name != "faults" {
		return List{}, fmt.Errorf("%s holds not base.json and faults", name)
	}
	l := List{Name: name, Base: strings.TrimSuffix(string(archive.Files[0].Data), "\n")}
	for record := range strings.SplitSeq(strings.TrimSpace(string(archive.Files[1].Data)), "\n\n") {
		lines := strings.Split(record, "\n")
		if len(lines) != 4 || !strings.HasPrefix(lines[0], "# ") || lines[2][0] != '-' || lines[3][0] != '+' {
			return List{}, fmt.Errorf("%s: a record isn't words, fault, - and +:\n%s", name, record)
		}
		e := Edit{lines[0][2:], expand(lines[1]), expand(lines[2][1:]), expand(lines[3][1:])}
		if n := strings.Count(l.Base, e.old); n != 1 || e.old == e.new {
			return List{}, fmt.Errorf("%s: %s: what is edited stands in the base %d times", name, e.What, n)
		}
		l.Edits = append(l.Edits, e)
	}
	return l, nil
}

// Resource is the base with the fault.
func (l List) Resource(e Edit) string { return strings.Replace(l.Base, e.old, e.new, 1) }

var repeated, raw = regexp.MustCompile(`<(\d+)×([^>]+)>`), regexp.MustCompile(`<([0-9a-f]{2,8})>`)

func expand(s string) string {
	s = repeated.ReplaceAllStringFunc(s, func(m string) string {
		part := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(part[1])
		return strings.Repeat(part[2], n)
	})
	s = raw.ReplaceAllStringFunc(s, func(m string) string {
		b, _ := hex.DecodeString(m[1 : len(m)-1])
		return string(b)
	})
	return strings.ReplaceAll(s, `\n`, "\n")
}
