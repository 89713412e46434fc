// Package image joins what the leaves know: it turns a reference into a merged
// tree whose files can be read.
//
// A reference is resolved to a descriptor, through image indexes to the one
// manifest for a platform, and from there to a configuration and layers. Each
// layer's table of contents is come by in one of several ways (planner): from
// the cache, where every layer that was ever read whole has left it; from the
// layer itself; from an index that lies beside the image; or by reading the
// layer, once. What all layers tell is merged into one tree. A read of a file is
// a read of its layer's decoded space, which comes from the cache, chunk by
// chunk; a missing chunk is fetched, decoded, verified and kept.
//
// What is shown need not be one image (Select, View): blobs of an artifact are
// files, a Compose application has its images below it, platforms stand side by
// side. Then several trees, and single files, are grafted into one.
//
// Everything hangs from the manifest's digest: documents are verified before
// they are parsed, layers by their digest and diffID when they are read whole,
// and each chunk by what was written down then, or by what a table of contents
// from elsewhere says. Whose tables are believed is a Policy; one that lies
// beside the image is held to the layer once all of that was seen (audit).
package image
