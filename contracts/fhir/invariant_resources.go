package fhir

import "strings"

// resourceInvariants are those of all resources, of Bundles, and of the resources that carry others or are about
// people and organisations.
func resourceInvariants() []invariant {
	return []invariant{
		{where: "DomainResource", key: "dom-2", holds: all("contained", noneOf("contained")),
			text: "A contained resource contains none itself: move the inner one up into this resource."},
		{where: "DomainResource", key: "dom-3", holds: containedInUse,
			text: "Refer to each contained resource by # and its id, or from it to this resource by #; remove those that nothing needs."},
		{where: "DomainResource", key: "dom-4", holds: all("contained.meta", noneOf("versionId", "lastUpdated")),
			text: "A contained resource has no life of its own: remove its meta.versionId and meta.lastUpdated."},
		{where: "DomainResource", key: "dom-5", holds: all("contained.meta", noneOf("security")),
			text: "Put the security label on this resource; a contained one has none."},
		{where: "DomainResource", key: "dom-6", holds: inside("text", anyOf("div")), once: true,
			text: "This resource has no narrative, and others of the document may have none: a text.div lets people read what a program doesn't understand."},

		{where: "Bundle", key: "bdl-1", holds: either(noneOf("total"), is("type", "searchset", "history")),
			text: "total belongs to a searchset or a history; remove it."},
		{where: "Bundle", key: "bdl-2", holds: either(all("entry", noneOf("search")), is("type", "searchset")),
			text: "entry.search belongs to a searchset; remove it."},
		{where: "Bundle", key: "bdl-3", holds: entriesHave("request", "batch", "transaction", "history"),
			text: "Give each entry of a batch, transaction or history its request; in other Bundles remove entry.request."},
		{where: "Bundle", key: "bdl-4", holds: entriesHave("response", "batch-response", "transaction-response", "history"),
			text: "Give each entry of a batch-response, transaction-response or history its response; in other Bundles remove entry.response."},
		{where: "Bundle", key: "bdl-9", holds: either(isnt("type", "document"), inside("identifier", allOf("system", "value"))),
			text: "Give the document an identifier with system and value."},
		{where: "Bundle", key: "bdl-10", holds: either(isnt("type", "document"), valued("timestamp")),
			text: "Say in timestamp when the document was put together."},
		{where: "Bundle.entry", key: "bdl-5", holds: anyOf("resource", "request", "response"),
			text: "Give the entry a resource, a request or a response, or remove it."},
		{where: "Bundle.entry", key: "bdl-8", holds: func(_ *Bundle, n Node) bool { return !strings.Contains(textOf(n, "fullUrl"), "/_history/") },
			text: "A fullUrl names the resource, not one version of it: cut off /_history/ and what follows."},

		{where: "Parameters.parameter", key: "inv-1", holds: parameterValue,
			text: "Give the parameter one of these: a value, a resource, or parts."},
		{where: "Linkage", key: "lnk-1", holds: func(_ *Bundle, n Node) bool { return count(n, "item") > 1 },
			text: "A linkage ties at least two items together; add the other."},
		{where: "List", key: "lst-1", holds: notBoth("emptyReason", "entry"),
			text: "emptyReason tells why a list is empty; remove it, or the entries."},
		{where: "List", key: "lst-2", holds: either(is("mode", "changes"), all("entry", noneOf("deleted"))),
			text: "entry.deleted belongs to a list of changes: set mode to changes, or remove it."},
		{where: "List", key: "lst-3", holds: either(is("mode", "working"), all("entry", noneOf("date"))),
			text: "entry.date belongs to a list that is kept up: set mode to working, or remove it."},
		{where: "Composition.section", key: "cmp-1", holds: anyOf("text", "entry", "section"),
			text: "Give the section a text, entries or sections, or remove it."},
		{where: "Composition.section", key: "cmp-2", holds: notBoth("emptyReason", "entry"),
			text: "emptyReason tells why a section is empty; remove it, or the entries."},
		{where: "AuditEvent.entity", key: "sev-1", holds: notBoth("name", "query"),
			text: "Name the entity by name or by query; remove one of them."},

		{where: "Patient.contact", key: "pat-1", holds: anyOf("name", "telecom", "address", "organization"),
			text: "Give the contact a name, a telecom, an address or an organization, or remove it."},
		{where: "Organization", key: "org-1", holds: anyOf("identifier", "name"),
			text: "Give the organization an identifier or a name."},
		{where: "Organization.address", key: "org-2", holds: not(is("use", "home")),
			text: "An organization has no home address; use work."},
		{where: "Organization.telecom", key: "org-3", holds: not(is("use", "home")),
			text: "An organization has no home telecom; use work."},
		{where: "Group", key: "grp-1", holds: either(noneOf("member"), isTrue("actual")),
			text: "A group with members is an actual one: set actual to true, or remove the members."},
		{where: "InsurancePlan", key: "ipn-1", holds: anyOf("identifier", "name"),
			text: "Give the plan an identifier or a name."},
	}
}

// containedInUse wants that each contained resource is referred to, or refers to its container.
func containedInUse(_ *Bundle, n Node) bool {
	if !n.Get("contained").Exists() {
		return true
	}
	used := map[string]bool{}
	references(n, Definitions().Type(n.Type()), func(url string) bool {
		used[url] = true
		return true
	})
	for c := range n.Get("contained").Each() {
		id := textOf(c, "id")
		if id == "" || used["#"+id] {
			continue // without an id there is nothing by which it could be referred to
		}
		if upward := references(c, Definitions().Type(c.Type()), func(url string) bool { return url != "#" }); upward {
			return false
		}
	}
	return true
}

// references yields what may refer to a resource: the references and addresses in n, an object of the type; false
// where yield stopped it.
func references(n Node, typ *Type, yield func(url string) bool) bool {
	for c := n.First(); c.Exists(); c = c.Next() {
		_, t := typ.Member(c.Name())
		for x := range c.Each() {
			switch x.Kind() {
			case KindString:
				if (c.Name() == "reference" || t != nil && (t.Name == "uri" || t.Name == "url" || t.Name == "canonical")) && !yield(x.Text()) {
					return false
				}
			case KindObject:
				inner := t
				if rt := x.Type(); rt != "" {
					inner = Definitions().Type(rt)
				}
				if !references(x, inner, yield) {
					return false
				}
			}
		}
	}
	return true
}

// entriesHave wants the element in each entry of Bundles of these types, and in none of others.
func entriesHave(name string, types ...string) check {
	wanted := is("type", types...)
	return func(b *Bundle, n Node) bool {
		want := wanted(b, n)
		for e := range n.Get("entry").Each() {
			if has(e, name) != want {
				return false
			}
		}
		return true
	}
}

func valued(name string) check {
	return func(_ *Bundle, n Node) bool { return textOf(n, name) != "" }
}

func isTrue(name string) check {
	return func(_ *Bundle, n Node) bool {
		is, ok := n.Get(name).Bool()
		return ok && is
	}
}

func parameterValue(_ *Bundle, n Node) bool {
	if has(n, "part") {
		return !has(n, "value[x]") && !has(n, "resource")
	}
	return has(n, "value[x]") != has(n, "resource")
}
