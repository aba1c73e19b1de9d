package hl7v2

import "strings"

// VersionAtLeast compares HL7 versions such as 2.5.1 number by number. An empty or odd version is older than all.
func VersionAtLeast(version, least string) bool {
	for {
		v, vrest, vmore := strings.Cut(version, ".")
		l, lrest, lmore := strings.Cut(least, ".")
		if a, b := versionPart(v), versionPart(l); a != b {
			return a > b
		}
		if !vmore && !lmore {
			return true
		}
		version, least = vrest, lrest
	}
}

// versionPart reads the digits that s starts with.
func versionPart(s string) int {
	n := 0
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9' && i < 6; i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n
}
