package server

import (
	"maps"
	"slices"
)

// AdminPatterns are the routes that only administrators may use.
func (s *Server) AdminPatterns() []string { return slices.Sorted(maps.Keys(s.adminRoutes())) }

// PagePatterns are the routes for people.
func (s *Server) PagePatterns() []string { return slices.Sorted(maps.Keys(s.pageRoutes())) }

// ProgramPatterns are all routes for programs.
func (s *Server) ProgramPatterns() []string {
	all := slices.Concat(slices.Collect(maps.Keys(s.apiRoutes())), slices.Collect(maps.Keys(s.oauthRoutes())), s.AdminPatterns())
	slices.Sort(all)
	return all
}

// Patterns are all routes.
func (s *Server) Patterns() []string { return append(s.ProgramPatterns(), s.PagePatterns()...) }
