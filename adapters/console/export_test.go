package console

// Routes lists what the handler serves, as "GET /path".
func Routes() []string {
	var routes []string
	for _, r := range (&api{}).routes(NewMetrics("")) {
		routes = append(routes, r.method+" "+r.path)
	}
	return routes
}
