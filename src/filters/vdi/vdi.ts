import { imageFilter } from '../../formats/image-filter.ts';

export default imageFilter('vdi');
