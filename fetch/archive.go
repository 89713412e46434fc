package fetch

import (
	"context"
	"fmt"
)

func openArchive(context.Context, Reference, Options) (place, error) {
	return nil, fmt.Errorf("archives: %w", ErrUnsupported)
}
