package fhir

import (
	"regexp"
	"strings"
)

// structureDefinitionInvariants are those of StructureDefinition and of the ElementDefinitions in it.
func structureDefinitionInvariants() []invariant {
	return []invariant{
		{where: "ElementDefinition", key: "eld-2", holds: minBelowMax,
			text: "min is at most max, and max a number or *; correct one of them."},
		{where: "ElementDefinition.max", key: "eld-3", holds: func(_ *Bundle, n Node) bool {
			i, ok := integer(n)
			return n.Is("*") || ok && i >= 0
		}, text: "max is a number from 0, or *."},
		{where: "ElementDefinition.type", key: "eld-4", holds: either(noneOf("aggregation"), is("code", "Reference", "canonical")),
			text: "aggregation belongs to the types Reference and canonical; remove it."},
		{where: "ElementDefinition", key: "eld-5", holds: either(noneOf("contentReference"),
			noneOf("type", "defaultValue[x]", "fixed[x]", "pattern[x]", "example", "minValue[x]", "maxValue[x]", "maxLength", "binding")),
			text: "contentReference takes everything from another element: remove type, values, lengths and binding here."},
		{where: "ElementDefinition", key: "eld-6", holds: either(noneOf("fixed[x]"), atMostOne("type")),
			text: "A fixed value is of one type: keep that type only."},
		{where: "ElementDefinition", key: "eld-7", holds: either(noneOf("pattern[x]"), atMostOne("type")),
			text: "A pattern is of one type: keep that type only."},
		{where: "ElementDefinition", key: "eld-8", holds: notBoth("pattern[x]", "fixed[x]"),
			text: "Give a pattern or a fixed value; remove one of them."},
		{where: "ElementDefinition", key: "eld-11", holds: bindable,
			text: "A binding belongs to a code, Coding, CodeableConcept, Quantity, string or uri; remove it, or correct type."},
		{where: "ElementDefinition", key: "eld-13", holds: distinct("type", "code"),
			text: "A type stands twice; join the two, with both their profiles."},
		{where: "ElementDefinition", key: "eld-14", holds: distinct("constraint", "key"),
			text: "Two constraints have one key; rename one."},
		{where: "ElementDefinition", key: "eld-15", holds: notBoth("defaultValue[x]", "meaningWhenMissing"),
			text: "Give a default value or meaningWhenMissing; remove one of them."},
		{where: "ElementDefinition", key: "eld-16", holds: either(noneOf("sliceName"), textMatches("sliceName", sliceName)),
			text: "A sliceName has letters, digits, - _ [ ] @ and / only."},
		{where: "ElementDefinition", key: "eld-18", holds: either(not(isTrue("isModifier")), anyOf("isModifierReason")),
			text: "Say in isModifierReason why the element changes the meaning of others."},
		{where: "ElementDefinition", key: "eld-19", holds: textMatches("path", pathNames),
			text: "Names in path have 1 to 64 characters, none of them white space or punctuation, and dots between them."},
		{where: "ElementDefinition", key: "eld-20", holds: textMatches("path", pathLetters),
			text: "Use letters and digits only in the names of path, and a small letter first behind a dot, or tools may stumble."},
		{where: "ElementDefinition", key: "eld-22", holds: needs("sliceIsConstraining", "sliceName"),
			text: "sliceIsConstraining is about a slice: give sliceName, or remove it."},
		{where: "ElementDefinition.slicing", key: "eld-1", holds: anyOf("discriminator", "description"),
			text: "Say how slices are told apart: by a discriminator, or in description."},
		{where: "ElementDefinition.type", key: "eld-17", holds: either(is("code", "Reference", "canonical"), noneOf("targetProfile")),
			text: "targetProfile belongs to the types Reference and canonical; remove it, or use profile."},
		{where: "ElementDefinition.constraint", key: "eld-21", holds: anyOf("expression"),
			text: "Write the constraint as FHIRPath in expression too, or no program checks it."},
		{where: "ElementDefinition.binding", key: "eld-12", holds: either(noneOf("valueSet"), starts("valueSet", "http:", "https", "urn:")),
			text: "Name the value set by its address: http://, https:// or urn:."},

		{where: "StructureDefinition", key: "sdf-1", holds: either(is("derivation", "constraint"), distinct("snapshot.element", "path")),
			text: "Two elements of the snapshot have one path, which only a constraint with slices may have; remove or rename one."},
		{where: "StructureDefinition.mapping", key: "sdf-2", holds: anyOf("name", "uri"),
			text: "Give the mapping a name or a uri."},
		{where: "StructureDefinition.snapshot", key: "sdf-3", holds: all("element", allOf("definition", "min", "max")),
			text: "Give each element of the snapshot its definition, min and max."},
		{where: "StructureDefinition", key: "sdf-4", holds: either(isTrue("abstract"), anyOf("baseDefinition")),
			text: "Say in baseDefinition what the structure builds on; only an abstract one goes without."},
		{where: "StructureDefinition", key: "sdf-5", holds: either(isnt("type", "Extension"), is("derivation", "specialization"), anyOf("context")),
			text: "Say in context where the extension may stand."},
		{where: "StructureDefinition", key: "sdf-6", holds: anyOf("snapshot", "differential"),
			text: "Give the structure a snapshot or a differential."},
		{where: "StructureDefinition.snapshot", key: "sdf-8", holds: snapshotPaths,
			text: "Let each path of the snapshot begin with the first element's, and that be the structure's type."},
		{where: "StructureDefinition.differential", key: "sdf-8a", holds: differentialPaths,
			text: "Let each path of the differential begin with the structure's type."},
		{where: "StructureDefinition.snapshot", key: "sdf-8b", holds: all("element", anyOf("base")),
			text: "Say in base of each element of the snapshot where it comes from."},
		{where: "StructureDefinition", key: "sdf-9", holds: both(
			all("snapshot.element", either(isInner, noneOf("label", "code", "requirements"))),
			all("differential.element", either(isInner, noneOf("label", "code", "requirements")))),
			text: "The first element stands for the whole: remove its label, code and requirements."},
		{where: "StructureDefinition.snapshot.element", key: "sdf-10", holds: either(noneOf("binding"), inside("binding", anyOf("valueSet", "description"))),
			text: "Give the binding a valueSet or a description."},
		{where: "StructureDefinition", key: "sdf-11", holds: either(is("kind", "logical"), noneOf("snapshot"), func(_ *Bundle, n Node) bool {
			return textOf(first(n, "snapshot"), "path") == textOf(n, "type")
		}), text: "Let the path of the snapshot's first element be the structure's type."},
		{where: "StructureDefinition", key: "sdf-14", holds: both(all("snapshot.element", anyOf("id")), all("differential.element", anyOf("id"))),
			text: "Give each element an id."},
		{where: "StructureDefinition", key: "sdf-15", holds: either(is("kind", "logical"), func(_ *Bundle, n Node) bool { return !has(first(n, "snapshot"), "type") }),
			text: "The first element of the snapshot stands for the whole: remove its type."},
		{where: "StructureDefinition", key: "sdf-15a", holds: either(is("kind", "logical"), func(_ *Bundle, n Node) bool {
			e := first(n, "differential")
			return strings.Contains(textOf(e, "path"), ".") || !has(e, "type")
		}), text: "The first element of the differential stands for the whole: remove its type."},
		{where: "StructureDefinition", key: "sdf-16", holds: both(all("snapshot.element", anyOf("id")), distinct("snapshot.element", "id")),
			text: "Give each element of the snapshot an id of its own."},
		{where: "StructureDefinition", key: "sdf-17", holds: both(all("differential.element", anyOf("id")), distinct("differential.element", "id")),
			text: "Give each element of the differential an id of its own."},
		{where: "StructureDefinition", key: "sdf-18", holds: either(noneOf("contextInvariant"), is("type", "Extension")),
			text: "contextInvariant belongs to extensions; remove it."},
		{where: "StructureDefinition", key: "sdf-19", holds: either(not(ofSpecification), both(
			all("differential.element.type", textMatches("code", typeName)), all("snapshot.element.type", textMatches("code", typeNameDotted)))),
			text: "A definition of FHIR itself uses types of FHIR only: correct type.code, or give the structure an address of your own."},
		{where: "StructureDefinition.differential", key: "sdf-20", holds: all("element", either(isInner, noneOf("slicing"))),
			text: "The first element stands for the whole and can't be sliced: remove slicing."},
		{where: "StructureDefinition", key: "sdf-21", holds: either(is("derivation", "specialization"), all("differential.element", noneOf("defaultValue[x]"))),
			text: "Only a specialization has default values; remove them."},
		{where: "StructureDefinition", key: "sdf-22", holds: either(not(ofSpecification), both(
			all("snapshot.element", noneOf("defaultValue[x]")), all("differential.element", noneOf("defaultValue[x]")))),
			text: "A definition of FHIR itself has no default values; remove them."},
		{where: "StructureDefinition", key: "sdf-23", holds: both(
			all("snapshot.element", either(isInner, noneOf("sliceName"))), all("differential.element", either(isInner, noneOf("sliceName")))),
			text: "The first element stands for the whole and is no slice: remove sliceName."},
	}
}

// The specification's own patterns.
const (
	sliceName      = `[a-zA-Z0-9/\-_\[\]@]+`
	pathNames      = pathName + `(\.` + pathName + `(\[x\])?(:[^\s.]+)?)*`
	pathLetters    = `[A-Za-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*(\[x])?)*`
	typeName       = `[a-zA-Z0-9]+|http://hl7\.org/fhirpath/System\.[A-Z][A-Za-z]+`
	typeNameDotted = `[a-zA-Z0-9.]+|http://hl7\.org/fhirpath/System\.[A-Z][A-Za-z]+`
	pathName       = `[^\s.,:;'"/|?!@#$%&*()\[\]{}]{1,64}`
)

var ofSpecification = starts("url", "http://hl7.org/fhir/StructureDefinition")

// textMatches wants the pattern of the whole text: FHIRPath's matches looks anywhere in it, which these don't mean.
func textMatches(name, pattern string) check {
	whole := regexp.MustCompile(`^(` + pattern + `)$`)
	return func(_ *Bundle, n Node) bool { return whole.MatchString(textOf(n, name)) }
}

func minBelowMax(_ *Bundle, n Node) bool {
	if !has(n, "min") || !has(n, "max") || n.Get("max").Is("*") {
		return true
	}
	low, ok1 := integer(n.Get("min"))
	high, ok2 := integer(n.Get("max"))
	return ok1 && ok2 && low <= high
}

// bindable reads `where` for the `select` of the published expression, which picks something of any type.
func bindable(_ *Bundle, n Node) bool {
	if !has(n, "binding") || !has(n, "type") {
		return true
	}
	for t := range n.Get("type").Each() {
		switch textOf(t, "code") {
		case "code", "Coding", "CodeableConcept", "Quantity", "string", "uri":
			return true
		}
	}
	return false
}

// isInner says whether an element is below the first one, which stands for the whole.
func isInner(_ *Bundle, n Node) bool { return strings.Contains(textOf(n, "path"), ".") }

func first(n Node, list string) Node { return n.Get(list).Get("element").At(0) }

func snapshotPaths(_ *Bundle, n Node) bool {
	root, elements := nearestResource(n), n.Get("element")
	top := textOf(elements.At(0), "path")
	return (root.Get("kind").Is("logical") || top == textOf(root, "type")) && pathsBelow(elements, top)
}

func differentialPaths(_ *Bundle, n Node) bool {
	root, elements := nearestResource(n), n.Get("element")
	top := textOf(elements.At(0), "path")
	if !root.Get("kind").Is("logical") && !strings.HasPrefix(top, textOf(root, "type")) {
		return false
	}
	top, _, _ = strings.Cut(top, ".")
	return pathsBelow(elements, top)
}

// pathsBelow wants that each path but the first begins with top and a dot.
func pathsBelow(elements Node, top string) bool {
	for e := elements.First().Next(); e.Exists(); e = e.Next() {
		rest, ok := strings.CutPrefix(textOf(e, "path"), top)
		if !ok || !strings.HasPrefix(rest, ".") {
			return false
		}
	}
	return true
}
