#ifndef GW_CELLS_H
#define GW_CELLS_H

#include <stdint.h>

/*
 * Points in polygons by a trie of square cells. See docs/spatial-join.md, and _cell.h for the
 * layout of nodes and lists.
 */

/* What is in the layer file, as it stands there: nothing of it is trusted. */
typedef struct {
    double x, y, unit;     /* lower left corner; side of the smallest cell */
    const uint32_t *nodes; /* 16 words each */
    uint64_t node_count;
    const uint32_t *lists;
    uint64_t list_words;
    const double *coordinates; /* x, y */
    uint64_t vertex_count;
    const uint32_t *source; /* the order in which features are given out */
    uint64_t feature_count;
    const uint32_t *top; /* 4096 words, made by gw_cells_top */
} gw_cells;

/* Makes `top`, by which the first three levels of the trie are one step. */
void gw_cells_top(gw_cells *layer, uint32_t *top);

/*
 * The features in which points lie, in ascending order of the point and then of `source`.
 *
 * points           x, y of each; NaN and infinity lie in nothing
 * with_boundary    whether a point on an edge or a vertex counts
 * only_first       only the feature that comes first in `source`
 * owners, features `room` pairs of (index of the point, index of the feature)
 *
 * Returns how many pairs there are; where that is more than `room`, what was written is to be
 * thrown away and the call repeated with more room.
 */
int64_t gw_cells_locate(const gw_cells *layer, const double *points, int64_t count,
                        int with_boundary, int only_first, int64_t *owners, int64_t *features,
                        int64_t room);

/* What a build makes; free nodes and lists with gw_words_free. */
typedef struct {
    double x, y, unit;
    uint32_t *nodes;
    uint64_t node_words;
    uint32_t *lists;
    uint64_t list_words;
} gw_cells_built;

/*
 * Builds the cells of polygons. Offsets must be right: features into rings (the first ring of each
 * feature, and the end), rings into vertices; rings are closed. Features whose `skipped` isn't 0
 * have no cells.
 *
 * limits   x, y, x, y of all features
 * leaf     a cell with more edges than that is split
 *
 * Returns 0; 1 where memory was refused, 2 where the layer can't have cells (too many vertices or
 * features for 32 bits, coordinates beyond 2^900 or a square below 2^-900).
 */
int gw_cells_build(const double *coordinates, uint64_t vertex_count, const uint64_t *rings,
                   const uint64_t *features, const uint8_t *skipped, uint64_t feature_count,
                   const double *limits, int leaf, gw_cells_built *built);
void gw_words_free(uint32_t *words);

#endif
