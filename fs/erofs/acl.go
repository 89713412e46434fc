package erofs

import "encoding/binary"

// The kernel reads POSIX ACLs of EROFS, to heed them, and writes them anew for
// who asks for the attribute: struct posix_acl_xattr_header, a version, and per
// entry struct posix_acl_xattr_entry: a tag, permissions and an id, which most
// tags have none of.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"

	aclVersion   = 2
	aclEntrySize = 8
	aclNoID      = 0xffffffff
)

func isACL(name string) bool { return name == aclAccess || name == aclDefault }

// validACL says whether the kernel would take a list, and give back the same
// bytes.
func validACL(s string) bool {
	le, b := binary.LittleEndian, []byte(s)
	if len(b) <= 4 || (len(b)-4)%aclEntrySize != 0 || le.Uint32(b) != aclVersion {
		return false
	}
	for b = b[4:]; len(b) > 0; b = b[aclEntrySize:] {
		id := le.Uint32(b[4:])
		switch tag := le.Uint16(b); tag {
		case 0x02, 0x08: // ACL_USER, ACL_GROUP
			if id == aclNoID {
				return false
			}
		case 0x01, 0x04, 0x10, 0x20: // ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER
			if id != aclNoID {
				return false
			}
		default:
			return false
		}
	}
	return true
}
