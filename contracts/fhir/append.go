package fhir

import (
	"crypto/sha256"
	"slices"
	"strings"
)

// Append appends the tree as compact JSON: members in their order, every literal as it came or was set.
func (t *Tree) Append(dst []byte) []byte { return t.Root().Append(slices.Grow(dst, t.size())) }

// size is how many bytes the tree takes as JSON, about. What was parsed holds its punctuation, what was made needs it.
func (t *Tree) size() int {
	if len(t.src) > 0 {
		return len(t.src) + len(t.own)
	}
	return len(t.own) + 4*len(t.nodes)
}

// Append appends the value as compact JSON.
func (n Node) Append(dst []byte) []byte {
	if n.t == nil {
		return dst
	}
	return n.t.append(dst, n.rec())
}

func (t *Tree) append(dst []byte, r *node) []byte {
	switch r.kind {
	case KindObject:
		dst = append(dst, '{')
		for i := r.a; i != 0; {
			c := &t.nodes[i]
			dst = append(dst, '"')
			dst = append(dst, t.name(c)...)
			dst = append(dst, '"', ':')
			dst = t.append(dst, c)
			if i = c.next; i != 0 {
				dst = append(dst, ',')
			}
		}
		return append(dst, '}')
	case KindArray:
		dst = append(dst, '[')
		for i := r.a; i != 0; {
			c := &t.nodes[i]
			dst = t.append(dst, c)
			if i = c.next; i != 0 {
				dst = append(dst, ',')
			}
		}
		return append(dst, ']')
	}
	return t.appendLeaf(dst, r)
}

func (t *Tree) appendLeaf(dst []byte, r *node) []byte {
	switch r.kind {
	case KindString:
		dst = append(dst, '"')
		dst = append(dst, t.literal(r)...)
		return append(dst, '"')
	case KindNull:
		return append(dst, "null"...)
	}
	return append(dst, t.literal(r)...)
}

// Indent appends the tree as JSON for people: two spaces a level, a member a line.
func (t *Tree) Indent(dst []byte) []byte { return t.Root().Indent(dst) }

// Indent appends the value as JSON for people.
func (n Node) Indent(dst []byte) []byte { return n.indent(dst, "\n") }

func (n Node) indent(dst []byte, line string) []byte {
	kind := n.Kind()
	if kind < KindArray || !n.First().Exists() {
		return n.Append(dst)
	}
	open, end := byte('['), byte(']')
	if kind == KindObject {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	inner := line + "  "
	for c := n.First(); c.Exists(); c = c.Next() {
		dst = append(dst, inner...)
		if kind == KindObject {
			dst = append(dst, '"')
			dst = append(dst, n.t.name(c.rec())...)
			dst = append(dst, '"', ':', ' ')
		}
		dst = c.indent(dst, inner)
		if c.Next().Exists() {
			dst = append(dst, ',')
		}
	}
	dst = append(dst, line...)
	return append(dst, end)
}

// Canonical appends the tree in one fixed spelling, for comparing what was sent again: no white space, members sorted
// by the bytes of their names, strings with the fewest escapes. Numbers keep their text, since 1.0 and 1.00 say
// different things in FHIR, and lists their order.
func (t *Tree) Canonical(dst []byte) []byte {
	var c canonical
	return c.append(dst, t.Root())
}

// canonical keeps the members that are being sorted, object within object.
type canonical []Node

func (c *canonical) append(dst []byte, n Node) []byte {
	switch n.Kind() {
	case KindObject:
		return c.object(dst, n)
	case KindArray:
		dst = append(dst, '[')
		for i := n.First(); i.Exists(); i = i.Next() {
			if dst = c.append(dst, i); i.Next().Exists() {
				dst = append(dst, ',')
			}
		}
		return append(dst, ']')
	case KindString:
		dst = append(dst, '"')
		dst = appendEscaped(dst, n.Text())
		return append(dst, '"')
	}
	return n.Append(dst)
}

func (c *canonical) object(dst []byte, n Node) []byte {
	from := len(*c)
	for m := n.First(); m.Exists(); m = m.Next() {
		*c = append(*c, m)
	}
	slices.SortFunc((*c)[from:], func(a, b Node) int { return strings.Compare(a.Name(), b.Name()) })
	dst = append(dst, '{')
	for i := from; i < len(*c); {
		m := (*c)[i]
		dst = append(dst, '"')
		dst = appendEscaped(dst, m.Name())
		dst = append(dst, '"', ':')
		dst = c.append(dst, m) // grows c behind and cuts it back
		if i++; i < len(*c) {
			dst = append(dst, ',')
		}
	}
	*c = (*c)[:from]
	return append(dst, '}')
}

// Digest is the SHA-256 of Canonical: equal for two serialisations of one resource. It is not keyed; a digest of
// patient data that is stored must be (see the hub).
func (t *Tree) Digest() [sha256.Size]byte { return sha256.Sum256(t.Canonical(nil)) }
