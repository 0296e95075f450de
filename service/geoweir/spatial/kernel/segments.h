#ifndef GW_SEGMENTS_H
#define GW_SEGMENTS_H

#include <stdint.h>

/*
 * An index over segments, as segments.py builds it; all arrays are the caller's and are only read.
 * Nothing in them is trusted: an index that points outside is left out of the answer.
 *
 * a, es         the ellipsoid: greater half axis in metres, squared eccentricity
 * vertices      2 x vertex_count: longitude, latitude in degrees
 * measures      vertex_count: metres along the feature up to each vertex
 * rings         ring_count + 1: where each ring's vertices begin
 * runs          4 x run_count: first vertex, segments (0: a lone vertex), feature, ring
 * blocks        64 x block_count: west, south, east, north of each 16 runs, then of each 16
 *               blocks, and so on up to one; what isn't there has west above east
 * ranks         feature_count: of two equally near, the feature with the lower rank is the answer
 */
typedef struct {
    double a, es;
    const double *vertices;
    const double *measures;
    const uint64_t *rings;
    const uint32_t *runs;
    const float *blocks;
    const uint32_t *ranks;
    uint64_t vertex_count, ring_count, run_count, block_count, feature_count;
} gw_segments;

/*
 * The nearest segment of a point.
 *
 * vertex        its first vertex; -1 where nothing is within reach
 * feature       the feature that it is of
 * lon, lat      the place on it, in degrees
 * distance      metres from the point to that place
 * measure       metres along the feature up to that place
 * offset        metres that the point lies to the left of the line (negative: right); NaN where
 *               the line has no direction there
 */
typedef struct {
    int64_t vertex, feature;
    double lon, lat, distance, measure, offset;
} gw_nearest;

/*
 * The nearest segment of each point within `reach` metres. Points are 2 x count: longitude,
 * latitude in degrees. Returns 0, or -1 where the levels of blocks don't fit the runs.
 */
int gw_segments_nearest(const gw_segments *index, const double *points, int64_t count,
                        double reach, gw_nearest *found);

#endif
