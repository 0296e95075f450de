#include <stddef.h>
#include <stdint.h>

/*
 * Point clouds: thinning by voxels, lowest points of cells, cropping by polygons.
 *
 * ``points`` are rows of three doubles: x, y, z. Cells are cubes or squares of edge ``size`` whose
 * corners are multiples of it. Each function gives a count, or one of:
 *
 *   -1  no memory
 *   -2  a point is not finite, or so many cells from zero that a double can't tell cells apart
 *   -3  more than can be counted (points, vertices), or more work than ``most`` allows
 *   -4  ring offsets that aren't ascending or lie beyond the vertices
 */

/* Marks in ``keep`` the point nearest to the centre of each voxel; the number of voxels. */
int64_t gw_cloud_voxels(const double *points, size_t count, double size, uint64_t seed,
                        uint8_t *keep);

/* Writes for each point the least z in its square cell; the number of cells. */
int64_t gw_cloud_lowest(const double *points, size_t count, double size, uint64_t seed,
                        double *lowest);

/*
 * Writes for each point 1 where it lies in one of the polygons or on an edge, 0 where it doesn't,
 * 2 where rounding hides it. Rings are closed and stand by ascending ``owners`` (their polygon).
 * ``most`` bounds points times edges; the number of edges that were looked at.
 */
int64_t gw_cloud_crop(const double *points, size_t count, const double *vertices,
                      size_t vertex_count, const uint64_t *rings, const uint32_t *owners,
                      size_t ring_count, uint64_t most, uint8_t *inside);
