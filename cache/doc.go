// Package cache keeps verified bytes on disk and shares them between several
// daemons. There is no database and no server: flat files, flock and
// byte-range locks.
//
// # Two kinds of things
//
// An object is a small immutable byte string under a key: a manifest, a
// config, a layer's table of contents. It carries a SHA-256, so a damaged one
// is noticed, removed and reported absent.
//
// A space is a layer's decoded bytes: one large sparse file, tiled by chunks.
// What is missing is made on demand by the Fill given to Store.Space; a whole
// space can also be laid down in one pass with a Builder.
//
// Everything here can be made again, so nothing is ever synced: after a power
// cut, checksums tell what survived. And nothing here is needed: on a full
// disk, a read-only one, or one that went away, chunks go from Fill to the
// readers through memory. There stay for a while those that were asked for and
// some of what follows (spare.go); a fill that nobody waits for any more ends
// when there is no place for what it makes.
//
// # Layout
//
//	DIR/v1/objects/KEY          object, then its trailer (object.go)
//	DIR/v1/spaces/KEY/data      the decoded space, sparse
//	DIR/v1/spaces/KEY/marks     a header and one record per chunk (mark.go)
//	DIR/v1/spaces/KEY/aux       decoding state kept by the Builder (aux.go)
//	DIR/v1/pins/NAME            what is not evicted, an object's form (pin.go)
//	DIR/v1/locks/KEY            who holds Store.Lock; there only while held
//	DIR/v1/tmp/RANDOM           being made, being removed, or expelled from
//	                            spaces while some process has it open
//
// Other versions than v1 are left alone. Directories are 0700, files 0600, all
// of the effective user; a store that is a symbolic link, belongs to someone
// else or can be written to by others is refused. DIR must lie on a local file
// system: processes meet in the page cache.
//
// # Locks
//
//	flock, shared, on spaces/KEY       a process has the space open
//	flock, exclusive, on spaces/KEY    it is being emptied or repaired
//	flock, exclusive, on spaces        a process evicts, or makes a pin known
//	flock, exclusive, on tmp/RANDOM    its maker lives; else it is litter
//	OFD lock on marks, claimBase+i     a process is fetching chunk i
//	OFD lock on marks, storeBase+i     chunk i's data and mark are changing
//
// All are polled and given up after a while: no process waits for ever on one
// that hangs. Without a claim a chunk is fetched twice; without the store
// lock a chunk is not kept. Neither harms.
//
// # Why a reader never sees a wrong byte
//
// Readers take no lock. The record of chunk i (mark.go) has a sequence
// number seq, odd while the chunk is present. Three parties touch a chunk:
//
//	filler   holding storeBase+i: write data; then write the record, seq odd and greater
//	evictor  holding storeBase+i: write seq even and greater; then punch the data
//	reader   recall the seq known to be right; read data; then read seq
//
// A process remembers, in memory, the seq under which it once found the whole
// chunk to agree with the record's CRC-32C (Space.checked). A read is good if
// the seq that it reads last is the one it recalled first:
//
//  1. A record that names an odd seq is written after the chunk's data.
//  2. Fillers and evictors exclude each other and only ever raise seq, so an
//     odd seq s, once left, does not come back.
//  3. If s was recalled before the data was read and found after, it stood in
//     the record all that while. Data is destroyed only by punching, and seq
//     leaves s before that: so no punching began before the data was read.
//     (Recalling late would be wrong: s may have been written, and found
//     right by another goroutine, after we read a hole.)
//  4. Fillers write verified, hence identical, bytes, a hole for zeros: a
//     filler that rewrites a present chunk (it was damaged, or two fetched it)
//     changes no byte that was right.
//
// Each step is a system call of its own, and each goes through the locks or
// reference counts of the page cache, so processors don't reorder them. A
// space is emptied, or repaired, as a whole only under the exclusive flock on
// its directory, when no process remembers anything about it.
//
// A first use reads the record first, then the whole chunk, and serves just
// the bytes whose CRC it computed: these are right whatever happened
// meanwhile. A process killed between data and record leaves an absent chunk;
// one killed between seq and punching leaves an absent chunk and some blocks,
// which the next eviction nearby frees.
//
// Files that are cut, edited or deleted from outside lead to a new fill: a
// short read, a record whose sum is wrong and a CRC that is wrong all mean
// absent. No file is mapped, so none can raise SIGBUS. A file replaced under
// us cannot mix two generations of a space: the marks file names the inodes
// of itself and of its data (pair.go), and running readers hold descriptors.
package cache
