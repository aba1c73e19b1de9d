package main

// codes lists the fault codes of the command line and of silta.yaml with their meaning and what to do, in order. They
// are stable.
var codes = []struct{ code, meaning string }{
	{"BENCH-001", "The hub refused a message of the benchmark."},
	{"BENCH-002", "The map takes none of the messages that should be measured. Name the map that is for them."},
	{"CFG-040", "A value of silta.yaml isn't as it should be; line and column say which."},
	{"CFG-041", "A secret's file may be read by others than its owner. Set its mode to 0600."},
	{"CFG-042", "A secret's file isn't there or can't be read. `silta init` makes the secrets of a new installation."},
	{"CFG-043", "A secret is shorter than 32 characters."},
	{"CLI-001", "The hub can't be reached. Start it, or name its address by --url or SILTA_URL."},
	{"CLI-002", "Something else than Silta's API answers at the address."},
	{"CLI-003", "No message has this id."},
	{"DEMO-001", "The demo's message is none that it can send: it needs a REF^I12 with a control id."},
	{"DEMO-002", "The referral got no acknowledgement in time: nothing durable is known of it, and its sender keeps it."},
	{"DEMO-003", "The hub refused the referral at its door. The acknowledgement says what Apotti's contract doesn't take."},
	{"DEMO-004", "The hub's FHIR door refused an answer of HUS."},
	{"DEMO-005", "A message of the journey came to a stop. `silta trace` tells why."},
	{"DEMO-006", "A message of the journey was not delivered in time; it goes on when the demo runs again on its --dir."},
	{"DEMO-007", "Not all answers have come in time."},
}
