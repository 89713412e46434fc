package image

import "errors"

// Audited waits for the verdicts on all layers of which all was seen.
func Audited(m *Image) error {
	var errs []error
	for _, l := range m.layers {
		if l.audit != nil {
			errs = append(errs, l.audit.settle(l))
		}
	}
	return errors.Join(errs...)
}
