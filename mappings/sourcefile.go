package mappings

import "strings"

// Source is the file of a map or of a block, as it stands.
type Source struct {
	Name    string // ID@VERSION
	File    string // its path in its layer
	Extends string // the map that it is an overlay of, ID@VERSION; empty for others
	Digest  string // of a map that of Map.Digest, of a block that of its bytes
	Text    []byte // owned by the catalog
}

// Source finds the file of a map or of a block by ID, which means its newest version, or by ID@VERSION. The fault is
// notfound MAP-303.
func (c *Catalog) Source(ref string) (*Source, error) {
	name := ref
	if !strings.Contains(ref, "@") {
		name = c.newestBlock(ref)
	}
	if block := c.blocks[name]; block != nil {
		return &Source{Name: name, File: block.r.file, Digest: "sha256:" + block.digest, Text: block.data}, nil
	}
	m, err := c.Map(ref)
	if err != nil {
		return nil, err
	}
	src := c.bases[m.Name()]
	return &Source{Name: m.Name(), File: src.r.file, Extends: m.extends, Digest: m.digest, Text: src.data}, nil
}
