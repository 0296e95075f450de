/* Statistics of a raster's pixels over polygons. */

#include <stdint.h>

/* What a call came to. */
enum {
	GW_ZONAL_DONE = 0,
	GW_ZONAL_NO_MEMORY = 1,
	GW_ZONAL_TOO_COMPLEX = 2, /* the outline meets more pixels than allowed */
	GW_ZONAL_TOO_VARIED = 3,  /* more different values than a majority is looked for in */
	GW_ZONAL_BAD = 4          /* offsets or sizes that contradict each other */
};

/* Types of values. */
enum {
	GW_U1 = 0,
	GW_I1 = 1,
	GW_U2 = 2,
	GW_I2 = 3,
	GW_U4 = 4,
	GW_I4 = 5,
	GW_F4 = 6,
	GW_F8 = 7
};

/* Polygons as in Ragged: parts have rings, rings have vertices; coordinates are pixels. */
typedef struct {
	const double *xy; /* column, row; (0, 0) is the outer corner of the first pixel */
	const uint64_t *rings;
	const uint64_t *parts;
	uint64_t vertices;
	uint64_t ring_count;
	uint64_t part_count;
	int32_t is_mirrored; /* whether a ring that turns left on the ground turns right in pixels */
} gw_zones;

/* A block of values in tiles; one tile as large as the block is a plain array. */
typedef struct {
	const void *values;   /* NULL: pixels are only counted */
	const uint8_t *valid; /* 0 where there is no value; NULL: nothing is masked */
	uint64_t size;        /* how many values there are, and flags where they are */
	int32_t type;
	int32_t left, top;     /* column and row of the first value in the raster */
	int32_t width, height; /* columns and rows of the block */
	int32_t tile_width, tile_height;
	int32_t has_nodata;
	double nodata;
} gw_block;

/* What the pixels of a polygon come to. */
typedef struct {
	int64_t pixels;    /* inside the polygon and the raster, with a value or without */
	int64_t count;     /* of those, the ones with a value */
	int64_t whole_sum; /* of integers, exact */
	double sum;        /* of other numbers */
	double min, max;
	double majority;
	int64_t work; /* edges, and rows and pixels that they met, of all calls */
} gw_stats;

typedef struct gw_tally gw_tally;

gw_tally *gw_tally_new(int with_majority);
void gw_tally_free(gw_tally *tally);
void gw_tally_read(const gw_tally *tally, gw_stats *stats);

/*
 * Adds the pixels of parts [first_part, end_part) that lie in the block; several calls with the
 * blocks of a raster, one below the other, give its statistics. Beyond `limit` pixels are counted
 * and no longer read. width and height are the whole raster's.
 */
int gw_zonal(gw_tally *tally, const gw_zones *zones, uint64_t first_part, uint64_t end_part,
             const gw_block *block, int32_t width, int32_t height, int all_touched, int64_t limit);
