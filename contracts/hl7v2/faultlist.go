package hl7v2

import "github.com/hoitosilta/silta/contracts"

// maxFaults bounds how many faults of one grade are listed of one message or file. What is wrong a million times is
// mended at one place, and must not cost more memory than the message itself. Real messages that are bad all over have
// some hundred and twenty.
const maxFaults = 200

// moreFaults stands behind the faults that are listed, at the place of the first one that isn't.
func moreFaults(kind contracts.Kind, at string) *contracts.Fault {
	return contracts.Faultf(kind, CodeMoreFaults, at, "From here on there are more faults; they aren't listed.")
}
