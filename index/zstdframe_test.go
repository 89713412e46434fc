package index

import (
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzFrameHeader reads headers as another reader of them does.
func FuzzFrameHeader(f *testing.F) {
	for _, s := range []string{
		"", "\x28\xb5\x2f\xfd", "\x28\xb5\x2f\xfd\x00\xa8", "\x28\xb5\x2f\xfd\x04\x5b", "\x28\xb5\x2f\xfd\x20\x07",
		"\x28\xb5\x2f\xfd\x60\x01\x02", "\x28\xb5\x2f\xfd\xa0\x01\x02\x03\x04", "\x28\xb5\x2f\xfd\xe3\x01\x01\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseFrameHeader(b)
		var other zstd.Header
		if err := other.Decode(b); err != nil || other.Skippable {
			return
		}
		window := int64(other.WindowSize)
		if other.SingleSegment {
			window = int64(min(other.FrameContentSize, 1<<63-1))
		}
		if !ok || h.n != other.HeaderSize || h.window != window || h.checksum != other.HasCheckSum {
			t.Errorf("%x: %+v %v, %+v", b, h, ok, other)
		}
	})
}
