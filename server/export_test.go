package server

// AdminPatterns are the routes that only administrators may use.
func (s *Server) AdminPatterns() map[string]adminRoute { return s.adminRoutes() }
