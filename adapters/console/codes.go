package console

// Codes lists the fault codes of this package with their meaning and what to do, in order. They are stable.
var Codes = []struct{ Code, Meaning string }{
	{"API-001", "Nothing is at this address. / lists what the hub offers, /api/openapi.yaml describes it."},
	{"API-002", "The operators' token is missing or wrong. It stands in the file that console.tokenFile of silta.yaml names."},
	{"API-003", "A parameter or member of the request isn't as it should be; `at` names it."},
	{"API-004", "The request's body isn't the JSON that this address takes."},
}
