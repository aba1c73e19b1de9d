package fhir

import "slices"

// conformanceInvariants are those of the resources that describe systems, terminologies, questionnaires and plans.
func conformanceInvariants() []invariant {
	return []invariant{
		named("ActivityDefinition", "adf-0"),
		named("CapabilityStatement", "cpb-0"),
		named("ChargeItemDefinition", "cid-0"),
		named("CodeSystem", "csd-0"),
		named("CompartmentDefinition", "cpd-0"),
		named("ConceptMap", "cmd-0"),
		named("EffectEvidenceSynthesis", "ees-0"),
		named("EventDefinition", "evd-0"),
		named("Evidence", "evi-0"),
		named("EvidenceVariable", "evv-0"),
		named("ExampleScenario", "esc-0"),
		named("GraphDefinition", "gdf-0"),
		named("ImplementationGuide", "ig-0"),
		named("Library", "lib-0"),
		named("Measure", "mea-0"),
		named("MessageDefinition", "msd-0"),
		named("NamingSystem", "nsd-0"),
		named("OperationDefinition", "opd-0"),
		named("PlanDefinition", "pdf-0"),
		named("Questionnaire", "que-0"),
		named("ResearchDefinition", "rsd-0"),
		named("ResearchElementDefinition", "red-0"),
		named("RiskEvidenceSynthesis", "rvs-0"),
		named("SearchParameter", "spd-0"),
		named("StructureDefinition", "sdf-0"),
		named("StructureMap", "smp-0"),
		named("TerminologyCapabilities", "tcp-0"),
		named("TestScript", "tst-0"),
		named("ValueSet", "vsd-0"),

		{where: "CapabilityStatement", key: "cpb-1", holds: anyOf("rest", "messaging", "document"),
			text: "Say what the system can do: give rest, messaging or document."},
		{where: "CapabilityStatement", key: "cpb-2", holds: anyOf("description", "software", "implementation"),
			text: "Say what is described: give description, software or implementation."},
		{where: "CapabilityStatement", key: "cpb-3", holds: either(all("messaging", noneOf("endpoint")), is("kind", "instance")),
			text: "messaging.endpoint is an address of a running system: set kind to instance, or remove it."},
		{where: "CapabilityStatement", key: "cpb-7", holds: distinct("document", "profile", "mode"),
			text: "Two documents have one profile and mode; join them."},
		{where: "CapabilityStatement.rest", key: "cpb-9", holds: distinct("resource", "type"),
			text: "A resource type is described twice; join the two."},
		{where: "CapabilityStatement.rest.resource", key: "cpb-12", holds: distinct("searchParam", "name"),
			text: "Two search parameters have one name; rename or remove one."},
		{where: "CapabilityStatement", key: "cpb-14", holds: instanceOfKind, text: instanceText},
		{where: "CapabilityStatement", key: "cpb-15", holds: softwareOfKind, text: softwareText},
		{where: "CapabilityStatement", key: "cpb-16", holds: requirementsOfKind, text: requirementsText},
		{where: "TerminologyCapabilities", key: "tcp-2", holds: anyOf("description", "software", "implementation"),
			text: "Say what is described: give description, software or implementation."},
		{where: "TerminologyCapabilities", key: "tcp-3", holds: instanceOfKind, text: instanceText},
		{where: "TerminologyCapabilities", key: "tcp-4", holds: softwareOfKind, text: softwareText},
		{where: "TerminologyCapabilities", key: "tcp-5", holds: requirementsOfKind, text: requirementsText},
		{where: "TerminologyCapabilities.codeSystem", key: "tcp-1", holds: either(atMostOne("version"), all("version", anyOf("code"))),
			text: "Several versions need a code each."},

		{where: "CodeSystem", key: "csd-1", holds: codesOnce,
			text: "A code is defined twice in this code system; rename or remove one."},
		{where: "ConceptMap.group.element.target", key: "cmd-1", holds: either(anyOf("comment"), not(is("equivalence", "narrower", "inexact"))),
			text: "Say in comment how the target differs, since it is narrower or inexact."},
		{where: "ConceptMap.group.unmapped", key: "cmd-2", holds: either(isnt("mode", "fixed"), anyOf("code")),
			text: "Give the fixed code that stands for what has no map."},
		{where: "ConceptMap.group.unmapped", key: "cmd-3", holds: either(isnt("mode", "other-map"), anyOf("url")),
			text: "Give the url of the other map."},
		{where: "ValueSet.compose.include", key: "vsd-1", holds: anyOf("valueSet", "system"),
			text: "Say what to include or exclude from: a system or a valueSet."},
		{where: "ValueSet.compose.include", key: "vsd-2", holds: either(noneOf("concept", "filter"), anyOf("system")),
			text: "Say in system where the concepts or the filter come from."},
		{where: "ValueSet.compose.include", key: "vsd-3", holds: notBoth("concept", "filter"),
			text: "Choose by concepts or by a filter; put the other into an include of its own."},
		{where: "ValueSet.expansion.contains", key: "vsd-6", holds: anyOf("code", "display"),
			text: "Give a code or a display."},
		{where: "ValueSet.expansion.contains", key: "vsd-9", holds: either(anyOf("code"), isTrue("abstract")),
			text: "Give a code, or set abstract to true where the entry only holds others."},
		{where: "ValueSet.expansion.contains", key: "vsd-10", holds: needs("code", "system"),
			text: "Say in system where the code comes from."},
		{where: "NamingSystem", key: "nsd-1", holds: either(isnt("kind", "root"), all("uniqueId", isnt("type", "uuid"))),
			text: "The root of a naming system is no UUID: use another uniqueId."},
		{where: "NamingSystem", key: "nsd-2", holds: onePreferred,
			text: "Two uniqueIds of one type are preferred; keep one."},

		{where: "ImplementationGuide", key: "ig-2", holds: versionsListed,
			text: "A resource is of a FHIR version that the guide doesn't list; add it to fhirVersion, or correct it."},
		{where: "ImplementationGuide.definition", key: "ig-1", holds: groupingsListed,
			text: "A resource is in a grouping that isn't there; add the grouping, or correct groupingId."},
		{where: "MessageDefinition.focus", key: "md-1", holds: either(noneOf("max"), is("max", "*"), func(_ *Bundle, n Node) bool {
			i, ok := integer(n.Get("max"))
			return ok && i > 0
		}), text: "max is a number above 0, or *."},
		{where: "OperationDefinition.parameter", key: "opd-1", holds: anyOf("type", "part"),
			text: "Give the parameter a type or parts."},
		{where: "OperationDefinition.parameter", key: "opd-2", holds: either(noneOf("searchType"), is("type", "string")),
			text: "A searchType belongs to a parameter of type string; correct type, or remove it."},
		{where: "OperationDefinition.parameter", key: "opd-3", holds: either(noneOf("targetProfile"), is("type", "Reference", "canonical")),
			text: "A targetProfile belongs to a parameter of type Reference or canonical; correct type, or remove it."},
		{where: "SearchParameter", key: "spd-1", holds: needs("xpath", "xpathUsage"),
			text: "Say in xpathUsage how the xpath is meant."},
		{where: "SearchParameter", key: "spd-2", holds: either(noneOf("chain"), is("type", "reference")),
			text: "Only a search parameter of type reference can be chained; remove chain, or correct type."},
		{where: "StructureMap.group.rule.target", key: "smp-1", holds: needs("element", "context"),
			text: "Say in context which variable the element is of."},
		{where: "StructureMap.group.rule.target", key: "smp-2", holds: needs("context", "contextType"),
			text: "Say in contextType what the context is: type or variable."},

		{where: "Questionnaire", key: "que-2", holds: linksOnce,
			text: "Two items have one linkId; give each its own."},
		{where: "Questionnaire.item", key: "que-1", holds: both(either(isnt("type", "group"), anyOf("item")), either(isnt("type", "display"), noneOf("item"))),
			text: "A group has items inside it, a display has none."},
		{where: "Questionnaire.item", key: "que-3", holds: either(isnt("type", "display"), noneOf("code")),
			text: "A display asks nothing: remove code."},
		{where: "Questionnaire.item", key: "que-4", holds: notBoth("answerOption", "answerValueSet"),
			text: "List the answers in answerOption or by answerValueSet; remove one of them."},
		{where: "Questionnaire.item", key: "que-5", holds: either(noneOf("answerValueSet", "answerOption"),
			is("type", "choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string", "quantity")),
			text: "An item of this type has no list of answers: remove it, or correct type."},
		{where: "Questionnaire.item", key: "que-6", holds: either(isnt("type", "display"), noneOf("required", "repeats")),
			text: "A display asks nothing: remove required and repeats."},
		{where: "Questionnaire.item", key: "que-8", holds: either(isnt("type", "group", "display"), noneOf("initial")),
			text: "A group or a display has no answer: remove initial."},
		{where: "Questionnaire.item", key: "que-9", holds: either(isnt("type", "display"), noneOf("readOnly")),
			text: "A display asks nothing: remove readOnly."},
		{where: "Questionnaire.item", key: "que-10", holds: either(noneOf("maxLength"), is("type", "boolean", "decimal", "integer", "string", "text", "url", "open-choice")),
			text: "An answer of this type has no length: remove maxLength, or correct type."},
		{where: "Questionnaire.item", key: "que-11", holds: notBoth("answerOption", "initial"),
			text: "Mark the initial answer by initialSelected at its answerOption, and remove initial."},
		{where: "Questionnaire.item", key: "que-12", holds: either(func(_ *Bundle, n Node) bool { return count(n, "enableWhen") <= 2 }, anyOf("enableBehavior")),
			text: "Say in enableBehavior whether all or any of the conditions must hold."},
		{where: "Questionnaire.item", key: "que-13", holds: either(isTrue("repeats"), atMostOne("initial")),
			text: "One answer has one initial value: remove the others, or set repeats to true."},
		{where: "Questionnaire.item.enableWhen", key: "que-7", holds: either(isnt("operator", "exists"), anyOf("answerBoolean")),
			text: "Whether an answer exists is compared with a boolean: give answerBoolean."},
	}
}

const (
	instanceText     = "A statement of kind instance is about a running system: describe it in implementation."
	softwareText     = "A statement of kind capability is about a software: describe it in software, and remove implementation."
	requirementsText = "A statement of kind requirements is about no software yet: remove software and implementation."
)

var (
	instanceOfKind     = either(isnt("kind", "instance"), anyOf("implementation"))
	softwareOfKind     = either(isnt("kind", "capability"), both(noneOf("implementation"), anyOf("software")))
	requirementsOfKind = either(isnt("kind", "requirements"), noneOf("implementation", "software"))
)

func atMostOne(name string) check {
	return func(_ *Bundle, n Node) bool { return count(n, name) <= 1 }
}

func codesOnce(_ *Bundle, n Node) bool {
	var seen texts
	return below(n, "concept", func(c Node) bool {
		code := textOf(c, "code")
		return code == "" || seen.add(code)
	})
}

func linksOnce(_ *Bundle, n Node) bool {
	var seen texts
	return below(n, "item", func(i Node) bool {
		link := textOf(i, "linkId")
		return link == "" || seen.add(link)
	})
}

// below visits what stands under that name in n, and under it again; false where visit stopped it.
func below(n Node, name string, visit func(Node) bool) bool {
	for c := range n.Get(name).Each() {
		if !visit(c) || !below(c, name, visit) {
			return false
		}
	}
	return true
}

func onePreferred(_ *Bundle, n Node) bool {
	var seen texts
	for id := range n.Get("uniqueId").Each() {
		if is, _ := id.Get("preferred").Bool(); is && !seen.add(textOf(id, "type")) {
			return false
		}
	}
	return true
}

func versionsListed(_ *Bundle, n Node) bool {
	var listed texts
	for v := range n.Get("fhirVersion").Each() {
		listed.add(v.Text())
	}
	return walk(n, []string{"definition", "resource", "fhirVersion"}, func(v Node) bool { return listed.has(v.Text()) })
}

func groupingsListed(_ *Bundle, n Node) bool {
	var listed texts
	for g := range n.Get("grouping").Each() {
		listed.add(textOf(g, "id"))
	}
	return walk(n, []string{"resource", "groupingId"}, func(id Node) bool { return listed.has(id.Text()) })
}

// testInvariants are those of TestScript and TestReport. The insides of setup, test and teardown are the same, and
// so are their rules, under other keys.
func testInvariants() []invariant {
	return slices.Concat(
		[]invariant{
			{where: "TestScript.variable", key: "tst-3", holds: either(noneOf("expression"), noneOf("headerField"), noneOf("path")),
				text: "A variable is read in one way: expression, headerField or path."},
			{where: "TestScript.metadata", key: "tst-4", holds: some("capability", anyOf("required", "validated")),
				text: "Say of the capability whether it is required, validated or both."},
			{where: "TestReport.setup.action", key: "inv-1", holds: oneOf("operation", "assert"), text: actionText},
			{where: "TestReport.test.action", key: "inv-2", holds: oneOf("operation", "assert"), text: actionText},
			{where: "TestScript.setup.action", key: "tst-1", holds: oneOf("operation", "assert"), text: actionText},
			{where: "TestScript.test.action", key: "tst-2", holds: oneOf("operation", "assert"), text: actionText},
		},
		testOperation("TestScript.setup.action.operation", "tst-7"),
		testOperation("TestScript.test.action.operation", "tst-8"),
		testOperation("TestScript.teardown.action.operation", "tst-9"),
		testAssert("TestScript.setup.action.assert", "tst-5", "tst-10", "tst-12"),
		testAssert("TestScript.test.action.assert", "tst-6", "tst-11", "tst-13"),
	)
}

const actionText = "An action is an operation or an assert: give one of them, and not both."

func testOperation(where, key string) []invariant {
	return []invariant{{where: where, key: key, holds: either(anyOf("sourceId"),
		func(_ *Bundle, n Node) bool { return count(n, "targetId", "url", "params") == 1 },
		inside("type", is("code", "capabilities", "search", "transaction", "history"))),
		text: "Say what the operation works on: sourceId, or one of targetId, url and params."}}
}

func testAssert(where, single, compared, request string) []invariant {
	return []invariant{
		{where: where, key: single, holds: either(anyOf("extension"), func(_ *Bundle, n Node) bool {
			return count(n, "contentType", "expression", "headerField", "minimumId", "navigationLinks", "path", "requestMethod",
				"resource", "responseCode", "response", "validateProfileId") <= 1
		}), text: "One assert looks at one thing; make others of the rest."},
		{where: where, key: compared, holds: either(
			both(noneOf("compareToSourceId"), noneOf("compareToSourceExpression", "compareToSourcePath")),
			both(anyOf("compareToSourceId"), anyOf("compareToSourceExpression", "compareToSourcePath"))),
			text: "Name what to compare with: compareToSourceId with an expression or a path, or none of them."},
		{where: where, key: request, holds: either(not(is("direction", "request")), noneOf("response", "responseCode")),
			text: "A request has no response: remove response and responseCode, or correct direction."},
	}
}
