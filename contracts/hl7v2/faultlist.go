package hl7v2

import "github.com/hoitosilta/silta/contracts"

// maxFaults bounds how many faults of one grade are listed of one message or file. What is wrong a million times is
// mended at one place, and must not cost more memory than the message itself.
const maxFaults = 100

// moreFaults stands behind the faults that are listed where others aren't.
func moreFaults(kind contracts.Kind) *contracts.Fault {
	return contracts.Faultf(kind, CodeMoreFaults, "", "There are more faults than these; the others aren't listed.")
}
