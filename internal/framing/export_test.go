package framing

// Between reports whether no request is under way.
func (s *Scanner) Between() bool { return *s == Scanner{} }
