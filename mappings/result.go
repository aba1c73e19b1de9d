package mappings

// Lines gives the lineage of every written leaf, in the order in which they were written.
func (r *Result) Lines() []Line {
	lines := make([]Line, 0, len(r.lineage))
	for _, o := range r.lineage {
		lines = append(lines, o.line())
	}
	return lines
}

func (o *origin) line() Line {
	l := Line{Rule: "selector", From: o.cell.String(), To: o.node.Place()}
	if o.back {
		l.From, l.To = o.node.Place(), o.cell.String()
	}
	if o.rule != nil {
		l.Rule, l.Lens = o.rule.id, o.rule.lensName
	}
	switch {
	case l.Rule == "link" || o.rule != nil && o.rule.kind == opLink:
		l.From, l.Lens = "link", ""
	case l.From == "":
		l.From, l.Lens = "const", ""
	}
	return l
}
