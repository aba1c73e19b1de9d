// Package schema holds the descriptions of what Silta defines: the HTTP API, and the YAML files that people write.
package schema

import _ "embed"

// OpenAPI describes the console's HTTP API. Source: OpenAPI 3.1.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Partner is the JSON Schema of a partner's contract, for editors. What decides is contracts.ReadPartner.
//
//go:embed partner-v1.schema.json
var Partner []byte

// Config is the JSON Schema of silta.yaml, for editors. What decides is `silta check`.
//
//go:embed config-v1.schema.json
var Config []byte

// AsyncAPI describes the topics of the bus on Kafka. Sources: AsyncAPI 3.0, CloudEvents 1.0.2.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte
