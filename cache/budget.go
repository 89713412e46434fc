package cache

// A budget keeps the store within its limit.
type budget struct{ limit int64 }

func (b *budget) init(limit int64) { b.limit = limit }

// admit reports whether n bytes may be written.
func (s *Store) admit(n int) bool { return s.budget.limit == 0 || int64(n) <= s.budget.limit }

// wrote notes that n bytes were written.
func (s *Store) wrote(n int) {}
