package fhir

import "strings"

const ucum = "http://unitsofmeasure.org"

// dataTypeInvariants are those of the data types but ElementDefinition.
func dataTypeInvariants() []invariant {
	return []invariant{
		{where: "Attachment", key: "att-1", holds: needs("data", "contentType"),
			text: "Say in contentType what the data is, such as application/pdf."},
		{where: "ContactPoint", key: "cpt-2", holds: needs("value", "system"),
			text: "Say in system what the value is: phone, fax, email, pager, url, sms or other."},
		{where: "DataRequirement.codeFilter", key: "drq-1", holds: oneOf("path", "searchParam"),
			text: "Filter by a path or by a searchParam: give one of them, and not both."},
		{where: "DataRequirement.dateFilter", key: "drq-2", holds: oneOf("path", "searchParam"),
			text: "Filter by a path or by a searchParam: give one of them, and not both."},
		{where: "Expression", key: "exp-1", holds: anyOf("expression", "reference"),
			text: "Write the expression itself, or give a reference to where it stands."},
		{where: "Extension", key: "ext-1", holds: oneOf("extension", "value[x]"),
			text: "Give the extension a value or extensions inside it: one of them, and not both."},
		{where: "Narrative.div", key: "txt-1", holds: safeNarrative,
			text: "Keep to plain XHTML: one div in the XHTML namespace, well formed, with text, lists, tables, images and links; no script, form, event handler or style sheet from elsewhere."},
		{where: "Narrative.div", key: "txt-2", holds: speakingNarrative,
			text: "Put a text or an image into the narrative, or leave the narrative out."},
		{where: "Period", key: "per-1", holds: inOrder("start", "end"),
			text: "Let the period end when it starts, or later: exchange start and end, or correct one of them."},
		{where: "Quantity", key: "qty-3", holds: needs("code", "system"),
			text: "Name the system of the unit's code (" + ucum + " for UCUM), or leave the code out and keep unit."},
		{where: "Range", key: "rng-2", holds: rangeInOrder,
			text: "Let low be at most high: exchange them, or correct one of them."},
		{where: "Ratio", key: "rat-1", holds: both(together("numerator", "denominator"), anyOf("numerator", "extension")),
			text: "Give numerator and denominator, or neither and an extension that says why."},
		{where: "Timing.repeat", key: "tim-1", holds: needs("duration", "durationUnit"),
			text: "Give the duration its unit in durationUnit: s, min, h, d, wk, mo or a."},
		{where: "Timing.repeat", key: "tim-2", holds: needs("period", "periodUnit"),
			text: "Give the period its unit in periodUnit: s, min, h, d, wk, mo or a."},
		{where: "Timing.repeat", key: "tim-4", holds: notNegative("duration"),
			text: "A duration is 0 or more; correct it."},
		{where: "Timing.repeat", key: "tim-5", holds: notNegative("period"),
			text: "A period is 0 or more; correct it."},
		{where: "Timing.repeat", key: "tim-6", holds: needs("periodMax", "period"),
			text: "periodMax widens a period: give period too."},
		{where: "Timing.repeat", key: "tim-7", holds: needs("durationMax", "duration"),
			text: "durationMax widens a duration: give duration too."},
		{where: "Timing.repeat", key: "tim-8", holds: needs("countMax", "count"),
			text: "countMax widens a count: give count too."},
		{where: "Timing.repeat", key: "tim-9", holds: offsetFromEvent,
			text: "An offset counts from an event: name that in when, and not the meal itself (C, CM, CD, CV)."},
		{where: "Timing.repeat", key: "tim-10", holds: notBoth("timeOfDay", "when"),
			text: "Say the time by timeOfDay or by when, not by both."},
		{where: "TriggerDefinition", key: "trd-1", holds: notBoth("data", "timing[x]"),
			text: "A trigger has data or a timing; remove one of them."},
		{where: "TriggerDefinition", key: "trd-2", holds: needs("condition", "data"),
			text: "A condition is about data: say in data which, or remove the condition."},
		{where: "TriggerDefinition", key: "trd-3", holds: both(
			either(isnt("type", "named-event"), anyOf("name")),
			either(isnt("type", "periodic"), anyOf("timing[x]")),
			either(not(starts("type", "data-")), anyOf("data"))),
			text: "Give what the type asks for: a named-event its name, periodic its timing, data-… its data."},

		{where: "Age", key: "age-1", holds: both(needs("value", "code"), ofUCUM, positive),
			text: "An age is above 0 and has the code of its unit, from UCUM: a, mo, wk, d, h, min."},
		{where: "Count", key: "cnt-3", holds: both(needs("value", "code"), ofUCUM, either(noneOf("code"), is("code", "1")), wholeNumber),
			text: "A count is a whole number, with code 1 of UCUM."},
		{where: "Distance", key: "dis-1", holds: both(needs("value", "code"), ofUCUM),
			text: "A distance has the code of its unit, from UCUM: m, km, cm."},
		{where: "Duration", key: "drt-1", holds: either(noneOf("code"), both(is("system", ucum), anyOf("value"))),
			text: "A duration with a code has a value, and " + ucum + " as its system."},
	}
}

func ofUCUM(_ *Bundle, n Node) bool { return !has(n, "system") || n.Get("system").Is(ucum) }

func positive(_ *Bundle, n Node) bool {
	f, ok := number(n.Get("value"))
	return !ok || f > 0
}

func wholeNumber(_ *Bundle, n Node) bool { return !strings.Contains(textOf(n, "value"), ".") }

func notNegative(name string) check {
	return func(_ *Bundle, n Node) bool {
		f, ok := number(n.Get(name))
		return !ok || f >= 0
	}
}

// rangeInOrder compares what has one unit; to compare others is left to who knows the units.
func rangeInOrder(_ *Bundle, n Node) bool {
	low, high := n.Get("low"), n.Get("high")
	a, okA := number(low.Get("value"))
	b, okB := number(high.Get("value"))
	return !okA || !okB || !sameUnit(low, high) || a <= b
}

func sameUnit(a, b Node) bool {
	if textOf(a, "code") != "" || textOf(b, "code") != "" {
		return textOf(a, "system") == textOf(b, "system") && textOf(a, "code") == textOf(b, "code")
	}
	return textOf(a, "unit") == textOf(b, "unit")
}

func offsetFromEvent(_ *Bundle, n Node) bool {
	if !has(n, "offset") {
		return true
	}
	for when := range n.Get("when").Each() {
		switch when.Text() {
		case "C", "CM", "CD", "CV":
			return false
		}
	}
	return has(n, "when")
}
