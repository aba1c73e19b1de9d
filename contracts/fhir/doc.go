// Package fhir holds FHIR R4 in memory: a lossless tree, paths, the R4 schema, validation by it and by profiles, Bundles and
// their references, and OperationOutcome. It does no I/O.
//
// # The tree
//
// A Tree is one resource as it came: member order, decimals as text, `_birthDate` siblings, unknown elements and the
// spelling of every string survive, so Parse and Append give the same JSON but for white space. All values of a tree
// stand in one slice of 24-byte records without pointers, and their text in the input or in one buffer beside it; a Node
// is a handle (tree, number) passed by value. A mapping engine that writes 20,000 Bundles a second on one core has
// 50 µs for each: with handles a tree is two allocations whatever its size, none when Reset and used again, and the
// garbage collector has nothing to follow. With a pointer for each value the same Bundle is some thousand objects. The
// price: handles of a tree die with its Reset, and removed nodes keep their space until then.
//
// A Tree is safe for many readers, or for one writer alone.
//
// # Checking
//
// validate.go checks a resource against the schema (schema.go, read from r4.txt), primitive.go its texts, rules.go its
// references and Bundles, invariant*.go the specification's invariants. profiles.go holds the definitions of packages,
// profile.go and slicing.go compile one into rules, conform.go checks a value against them, judge.go keeps the verdicts
// on what refers to one another. fhirpath.go asks the library where an expression is needed.
//
// # Faults
//
// Every error is contracts.Faults with codes FHIR-nnn (faults.go), each at its place, a FHIRPath:
// Bundle.entry[2].resource.birthDate. Texts hold names of elements and lines, never values of a resource.
//
// Sources: HL7 FHIR R4 (4.0.1): json.html, datatypes.html, bundle.html, messaging.html, references.html.
package fhir
