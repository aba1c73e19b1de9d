package fhir

// careInvariants are those of the resources about care: what is planned, done, found and given.
func careInvariants() []invariant {
	return []invariant{
		{where: "AllergyIntolerance", key: "ait-1", holds: either(enteredInError(allergyVerification), anyOf("clinicalStatus")),
			text: "Give clinicalStatus (active, inactive or resolved), or say in verificationStatus that the entry was an error."},
		{where: "AllergyIntolerance", key: "ait-2", holds: either(not(enteredInError(allergyVerification)), noneOf("clinicalStatus")),
			text: "What was entered in error has no clinicalStatus; remove it."},
		{where: "Appointment", key: "app-2", holds: together("start", "end"),
			text: "Give start and end, or neither."},
		{where: "Appointment", key: "app-3", holds: either(allOf("start", "end"), is("status", "proposed", "cancelled", "waitlist")),
			text: "Give start and end; only an appointment that is proposed, cancelled or on the waitlist goes without."},
		{where: "Appointment", key: "app-4", holds: either(noneOf("cancelationReason"), is("status", "no-show", "cancelled")),
			text: "A cancelationReason belongs to an appointment that is cancelled or where nobody came; remove it, or correct status."},
		{where: "Appointment.participant", key: "app-1", holds: anyOf("type", "actor"),
			text: "Say who takes part: give the participant an actor or a type."},
		{where: "AppointmentResponse", key: "apr-1", holds: anyOf("participantType", "actor"),
			text: "Say who answers: give an actor or a participantType."},
		{where: "CarePlan.activity", key: "cpl-3", holds: notBoth("detail", "reference"),
			text: "Tell the activity in detail or by reference; remove one of them."},
		{where: "CareTeam.participant", key: "ctm-1", holds: onBehalfOfPractitioner,
			text: "Only a Practitioner acts on behalf of an organization here: remove onBehalfOf, or correct member."},
		{where: "Condition", key: "con-3", holds: either(anyOf("clinicalStatus"), enteredInError(conditionVerification),
			not(coded("category", "http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item"))),
			text: "Give a problem on the list its clinicalStatus: active, recurrence, relapse, inactive, remission or resolved."},
		{where: "Condition", key: "con-4", holds: either(noneOf("abatement[x]"), coded("clinicalStatus", "http://terminology.hl7.org/CodeSystem/condition-clinical", "resolved", "remission", "inactive")),
			text: "A condition that abated has clinicalStatus inactive, remission or resolved; correct it, or remove the abatement."},
		{where: "Condition", key: "con-5", holds: either(not(enteredInError(conditionVerification)), noneOf("clinicalStatus")),
			text: "What was entered in error has no clinicalStatus; remove it."},
		{where: "Condition.stage", key: "con-1", holds: anyOf("summary", "assessment"),
			text: "Give the stage a summary or an assessment."},
		{where: "Condition.evidence", key: "con-2", holds: anyOf("code", "detail"),
			text: "Give the evidence a code or a detail."},
		{where: "Consent", key: "ppc-1", holds: anyOf("policy", "policyRule"),
			text: "Say in policy or policyRule on what rules the consent stands."},
		{where: "Consent", key: "ppc-2", holds: consentNeedsPatient("patient-privacy"), text: consentPatient},
		{where: "Consent", key: "ppc-3", holds: consentNeedsPatient("research"), text: consentPatient},
		{where: "Consent", key: "ppc-4", holds: consentNeedsPatient("adr"), text: consentPatient},
		{where: "Consent", key: "ppc-5", holds: consentNeedsPatient("treatment"), text: consentPatient},
		{where: "CoverageEligibilityResponse.insurance.item", key: "ces-1", holds: oneOf("category", "productOrService"),
			text: "Give a category or a productOrService: one of them, and not both."},
		{where: "FamilyMemberHistory", key: "fhs-1", holds: notBoth("age[x]", "born[x]"),
			text: "Tell the age or when the person was born; remove one of them."},
		{where: "FamilyMemberHistory", key: "fhs-2", holds: needs("estimatedAge", "age[x]"),
			text: "estimatedAge is about an age: give age too, or remove it."},
		{where: "Goal.target", key: "gol-1", holds: needs("detail[x]", "measure"),
			text: "Say in measure what the target's detail is a value of."},
		{where: "Immunization.education", key: "imm-1", holds: anyOf("documentType", "reference"),
			text: "Name the material by documentType or by reference."},
		{where: "ImmunizationRecommendation.recommendation", key: "imr-1", holds: anyOf("vaccineCode", "targetDisease"),
			text: "Say what to vaccinate with, or against: vaccineCode or targetDisease."},
		{where: "MedicationAdministration.dosage", key: "mad-1", holds: anyOf("dose", "rate[x]"),
			text: "Give the dosage a dose or a rate."},
		{where: "MedicationDispense", key: "mdd-1", holds: inOrder("whenPrepared", "whenHandedOver"),
			text: "Let whenHandedOver be no earlier than whenPrepared; correct one of them."},
		{where: "MolecularSequence", key: "msq-3", holds: oneBased,
			text: "coordinateSystem is 0 or 1: where the numbers of a sequence begin."},
		{where: "MolecularSequence.referenceSeq", key: "msq-5", holds: together("chromosome", "genomeBuild"),
			text: "Give chromosome and genomeBuild, or neither."},
		{where: "MolecularSequence.referenceSeq", key: "msq-6", holds: func(_ *Bundle, n Node) bool {
			return count(n, "genomeBuild", "referenceSeqId", "referenceSeqPointer", "referenceSeqString") == 1
		}, text: "Name the sequence in one way: genomeBuild, referenceSeqId, referenceSeqPointer or referenceSeqString."},
		{where: "NutritionOrder", key: "nor-1", holds: anyOf("oralDiet", "supplement", "enteralFormula"),
			text: "Say what is ordered: oralDiet, supplement or enteralFormula."},
		{where: "Observation", key: "obs-6", holds: notBoth("dataAbsentReason", "value[x]"),
			text: "dataAbsentReason tells why there is no value; remove it, or the value."},
		{where: "Observation", key: "obs-7", holds: componentsDiffer,
			text: "The value of the observation's own code stands in value, not again in a component; remove one of them."},
		{where: "Observation.referenceRange", key: "obs-3", holds: anyOf("low", "high", "text"),
			text: "Give the reference range low, high or text."},
		{where: "QuestionnaireResponse.item", key: "qrs-1", holds: notBoth("answer", "item"),
			text: "Put the items that belong to an answer into that answer; an item has answers or items."},
		{where: "RequestGroup.action", key: "rqg-1", holds: oneOf("resource", "action"),
			text: "Give the action a resource or actions inside it: one of them, and not both."},
		{where: "RiskAssessment.prediction", key: "ras-2", holds: func(_ *Bundle, n Node) bool {
			f, ok := number(n.Get("probabilityDecimal"))
			return !ok || f <= 100
		}, text: "A probability is a percentage of at most 100; correct it."},
		{where: "RiskAssessment.prediction.probability[x]", key: "ras-1", holds: both(percent("low"), percent("high")),
			text: "Give low and high in percent: code % of " + ucum + "."},
		{where: "ServiceRequest", key: "prr-1", holds: needs("orderDetail", "code"),
			text: "orderDetail refines a code: say in code what is asked for."},
		{where: "Task", key: "inv-1", holds: inOrder("authoredOn", "lastModified"),
			text: "Let lastModified be no earlier than authoredOn; correct one of them."},
		{where: "Measure", key: "mea-1", holds: all("group.stratifier", either(
			both(anyOf("code", "description", "criteria"), noneOf("component")),
			both(noneOf("code", "description", "criteria"), anyOf("component")))), text: "Give a stratifier its code, description or criteria, or else its components."},
		{where: "MeasureReport", key: "mrp-1", holds: either(isnt("type", "data-collection"), noneOf("group")),
			text: "A data collection reports no groups; remove group, or correct type."},
		{where: "MeasureReport", key: "mrp-2", holds: all("group.stratifier.stratum", oneOf("value", "component")),
			text: "Give a stratum a value or components: one of them, and not both."},
	}
}

const (
	allergyVerification   = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
	conditionVerification = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
	consentPatient        = "Say in patient whom the consent is about; its scope needs one."
)

func enteredInError(system string) check {
	return coded("verificationStatus", system, "entered-in-error")
}

// consentNeedsPatient looks for the system that the specification has here. It is a placeholder that was never filled,
// so the rule bites nobody; another one would refuse what all others take.
func consentNeedsPatient(scope string) check {
	return either(anyOf("patient"), not(coded("scope", "something", scope)))
}

// onBehalfOfPractitioner lets pass what can't be looked up here.
func onBehalfOfPractitioner(b *Bundle, n Node) bool {
	if !has(n, "onBehalfOf") {
		return true
	}
	member := b.Resolve(n.Get("member"))
	return !member.Exists() || member.Type() == "Practitioner"
}

func oneBased(_ *Bundle, n Node) bool {
	i, ok := integer(n.Get("coordinateSystem"))
	return ok && (i == 0 || i == 1)
}

func percent(name string) check {
	return func(_ *Bundle, n Node) bool {
		q := n.Get(name)
		return !q.Exists() || q.Get("code").Is("%") && q.Get("system").Is(ucum)
	}
}

// componentsDiffer wants that no component has a coding of the observation itself, where that has a value.
func componentsDiffer(_ *Bundle, n Node) bool {
	if !has(n, "component") || !has(n, "value[x]") {
		return true
	}
	var own texts
	var c canonical
	for coding := range each(n, "code", "coding") {
		own.add(string(c.append(nil, coding)))
	}
	for coding := range each(n, "component", "code", "coding") {
		if own.has(string(c.append(nil, coding))) {
			return false
		}
	}
	return true
}
