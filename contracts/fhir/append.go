package fhir

import (
	"crypto/sha256"
	"slices"
)

// Append appends the tree as compact JSON: members in their order, every literal as it came or was set.
func (t *Tree) Append(dst []byte) []byte { return t.Root().Append(dst) }

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
func (t *Tree) Canonical(dst []byte) []byte { return t.Root().canonical(dst) }

func (n Node) canonical(dst []byte) []byte {
	switch n.Kind() {
	case KindObject:
		members := make([]Node, 0, 16)
		for c := n.First(); c.Exists(); c = c.Next() {
			members = append(members, c)
		}
		slices.SortFunc(members, func(a, b Node) int {
			if x, y := a.Name(), b.Name(); x < y {
				return -1
			} else if x > y {
				return 1
			}
			return 0
		})
		dst = append(dst, '{')
		for i, c := range members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '"')
			dst = appendEscaped(dst, c.Name())
			dst = append(dst, '"', ':')
			dst = c.canonical(dst)
		}
		return append(dst, '}')
	case KindArray:
		dst = append(dst, '[')
		for c := n.First(); c.Exists(); c = c.Next() {
			dst = c.canonical(dst)
			if c.Next().Exists() {
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

// Digest is the SHA-256 of Canonical: equal for two serialisations of one resource. It is not keyed; a digest of
// patient data that is stored must be (see the hub).
func (t *Tree) Digest() [sha256.Size]byte { return sha256.Sum256(t.Canonical(nil)) }
