package mappings

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
)

// LockFile is the file of a layer that holds the digests of its published versions, beside catalog and codes.
const LockFile = "catalog.lock"

const lockHead = "# Written by `silta map publish`. What stands here never changes: a change is a new version.\n"

// pin is the digest of a file that a map stands on: a base, a block, a code map; or of the map as a whole, with the number
// of the lens library that it was published under.
type pin struct{ kind, name, digest, lenses string }

func (p pin) String() string {
	row := p.kind + " " + p.name + " sha256:" + p.digest
	if p.lenses != "" {
		row += " lenses:" + p.lenses
	}
	return row
}

// pins are the files that a map uses, each once: its bases, blocks and code maps.
func pins(src *source, from shelf) []pin {
	var list []pin
	seen := map[pin]bool{}
	add := func(p pin) {
		if !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	codes := func(doc *document) {
		for _, def := range doc.codes {
			if m := from.concepts[def.use.s]; m != nil {
				add(pin{kind: "codes", name: m.name, digest: m.digest})
			}
		}
	}
	for base := src.base; base != nil; base = base.base {
		add(pin{kind: "base", name: base.doc.id.s + "@" + base.doc.version.s, digest: base.digest})
	}
	codes(src.doc)
	for _, use := range src.doc.uses {
		if b := from.blocks[use.block.s]; b != nil {
			add(pin{kind: "block", name: use.block.s, digest: b.digest})
			codes(b.doc)
		}
	}
	return list
}

// Publish gives a lock file's text with a version in it, and what it stands on. The same version again changes nothing.
func (m *Map) Publish(lock []byte) []byte {
	if len(bytes.TrimSpace(lock)) == 0 {
		lock = []byte(lockHead)
	}
	if !bytes.HasSuffix(lock, []byte("\n")) {
		lock = append(bytes.Clone(lock), '\n')
	}
	whole := pin{"map", m.Name(), strings.TrimPrefix(m.digest, "sha256:"), m.lenses}
	for _, p := range append(m.pins, whole) {
		if !bytes.Contains(lock, []byte("\n"+p.String()+"\n")) {
			lock = append(bytes.Clone(lock), p.String()+"\n"...)
		}
	}
	return lock
}

// Published says whether a lock file has this version.
func (m *Map) Published() bool { return m.published }

// checkLock compares a layer's lock file with what there is. What was published and is changed or gone is a fault.
func (c *Catalog) checkLock(set *reporterSet, layer fs.FS) {
	data, err := fs.ReadFile(layer, LockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return // nothing is published
	}
	r := set.file(LockFile)
	if err != nil {
		r.add(CodeLocked, pos{line: 1, col: 1}, "The lock file can't be read, so nothing says what is published.")
		return
	}
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		at := pos{line: line, col: 1}
		fields := strings.Fields(text)
		if len(fields) == 0 || strings.HasPrefix(text, "#") {
			continue
		}
		p, ok := readPin(fields)
		if !ok {
			r.add(CodeLocked, at, "A line of the lock file is a kind, a name, a digest and, of a map, the lens library's number; only `silta map publish` writes it.")
			continue
		}
		if p.lenses != "" && !has(lensSets, p.lenses) {
			r.add(CodeLocked, at, "%s was published under the lens library %s, which this Silta can't run any more: it would translate otherwise. Run the one that published it, or give the map a new version.", p.name, p.lenses)
			continue
		}
		is, file := c.current(p)
		switch {
		case is == "":
			r.add(CodeLocked, at, "The %s %s is published or part of what is, and isn't in the catalog. Put it back.", p.kind, p.name)
		case is != p.digest:
			changed := pos{line: 1, col: 1, file: file}
			r.add(CodeLocked, changed, "%s is published or part of what is, and isn't what it was then. Put the file back, and give the change a new version.", p.name)
		}
	}
}

// readPin reads a row of the lock file.
func readPin(fields []string) (p pin, ok bool) {
	if len(fields) < 3 || len(fields) > 4 || (len(fields) == 4) != (fields[0] == "map") {
		return p, false
	}
	p = pin{kind: fields[0], name: fields[1], digest: strings.TrimPrefix(fields[2], "sha256:")}
	if len(fields) == 4 {
		p.lenses, ok = strings.CutPrefix(fields[3], "lenses:")
		return p, ok && p.lenses != ""
	}
	return p, true
}

// current is the digest that something pinned has now, and its file; empty where it isn't there.
func (c *Catalog) current(p pin) (digest, file string) {
	switch p.kind {
	case "map":
		for _, m := range c.maps {
			if m.Name() == p.name {
				m.published = true
				m.name(c.bases[p.name], p.lenses)
				return strings.TrimPrefix(m.digest, "sha256:"), m.dir + "/map.yaml"
			}
		}
		if src := c.bases[p.name]; src != nil { // it can't be compiled: what was published could
			return src.digest, src.r.file
		}
	case "base":
		if src := c.bases[p.name]; src != nil {
			return src.digest, src.r.file
		}
	case "block":
		if src := c.blocks[p.name]; src != nil {
			return src.digest, src.r.file
		}
	case "codes":
		if m := c.concepts[p.name]; m != nil {
			return m.digest, "codes/" + p.name + ".json"
		}
	}
	return "", ""
}
